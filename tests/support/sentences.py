"""A text of a few hundred lines for tests of sequences."""

import random

WHO = ["the cat", "a dog", "the king", "my sister", "nobody", "the old woman's son"]
DOES = ["sees", "fears", "follows", "sings to", "forgets"]
WHOM = ["the moon", "a river", "him", "the children", "every stone"]
MORE = ["", " at night", " before the rain", ", and smiles", " in the field by the sea"]


def lines(n=400, seed=0):
    draw = random.Random(seed).choice
    return [f"{draw(WHO)} {draw(DOES)} {draw(WHOM)}{draw(MORE)}." for _ in range(n)]


def write(path, content=None):
    path.write_text("\n".join(content or lines()) + "\n", encoding="utf-8")
    return path
