from made_up import diagnosis, linear_vae, old_diagnosis

from vaecli.diagnosis.sentences import sentences
from vaecli.diagnosis.verdict import findings
from vaecli.reporting.console import WIDTH, verdict_lines


def test_information_and_likelihood_stand_with_their_errors_and_bounds():
    found = diagnosis(latent_dim=1, alive=1)
    rate = found["kl_per_dim"][0]
    lines = verdict_lines(found)
    assert (
        f"Mutual information {0.91 * rate:.2f} ± 0.05 nats (between {0.87 * rate:.2f} and "
        f"{0.95 * rate:.2f}; ceiling log 360 = 5.89)"
    ) in lines
    assert (
        "log p(x) >= -31.47 ± 0.23 nats (K = 100, effective sample size 12.6, 360 examples)"
    ) in lines


def test_a_saturated_estimate_is_called_at_least():
    found = diagnosis(latent_dim=1, alive=1, saturated=True)
    rate = found["kl_per_dim"][0]
    assert (
        f"Mutual information at least {0.91 * rate:.2f} ± 0.05 nats (saturated: upper bound "
        f"{0.95 * rate:.2f}, ceiling log 360 = 5.89)"
    ) in verdict_lines(found)


def test_the_note_of_a_saturated_estimate_is_the_sentence_of_the_report():
    found = diagnosis(saturated=True) | {"mean_offset_kl": 0.0}
    reading = " ".join(sentences("information", found)[:2])
    assert "This one is saturated: take it as a lower bound" in reading
    assert [(f.pattern, f.evidence) for f in findings(found) if not f.disease] == [
        ("saturated estimate", reading)
    ]


def test_theory_stands_beside_the_verdict():
    found = diagnosis() | {"theory": linear_vae()}
    lines = verdict_lines(found)
    assert found["prediction"]["sentence"] in lines
    head = lines.index(f"{'Linear VAE':<28}{'theory':>12}{'measured':>12}")
    assert lines[head + 2].split() == ["rate", "2.1383", "2.2429", "±", "0.03"]
    assert lines[head + 4].split() == ["kl_per_dim[0]", "1.0986", "0.9329"]


def test_a_diagnosis_from_before_the_groups_has_its_verdict():
    text = "\n".join(verdict_lines(old_diagnosis()))
    assert "HEALTHY: 4 of 8 dimensions active (50%)" in text
    assert "Mutual information" not in text
    assert "log p(x)" not in text


def test_lines_but_commands_fit_the_width():
    found = diagnosis(saturated=True) | {"theory": linear_vae()}
    found["warnings"], found["notes"] = ["many words " * 30], ["more words " * 30]
    lines = [line for line in verdict_lines(found) if not line.startswith("  vae-train")]
    assert max(map(len, lines)) <= WIDTH
