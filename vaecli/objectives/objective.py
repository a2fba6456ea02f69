"""The training step's one forward pass: model and strategies together."""

from __future__ import annotations

from torch import Tensor, nn

from vaecli.models.vae import VAE, Terms
from vaecli.objectives.strategies.base import State, Strategy

PLAIN = Strategy()


class Objective(nn.Module):
    """(x, noise, beta, state) -> (loss, (terms, state)).

    Noise and beta come in as tensors: no generator, config or logger is inside, so the same forward
    is called alone, compiled, or mapped over a stack of runs.
    """

    def __init__(self, vae: VAE, strategies: tuple[Strategy, ...] = ()):
        super().__init__()
        self.vae = vae
        self.strategies = strategies
        for strategy in strategies:
            strategy.install(vae)

    def forward(
        self, x: Tensor, noise: dict[str, Tensor], beta: Tensor, state: State
    ) -> tuple[Tensor, tuple[Terms, State]]:
        """X (B, C, H, W), noise["z"] (K, B, Z), beta () -> loss () in nats per example."""
        terms = self.vae(x, noise)
        loss, state = self.filling("loss").loss(terms, beta, state)
        return loss, (terms, state)

    def filling(self, slot: str) -> Strategy:
        """The strategy that fills `slot`, or plain training."""
        return next((s for s in self.strategies if slot in s.slots), PLAIN)

    def init_state(self) -> State:
        """All strategies' state before the first step."""
        state: State = {}
        for strategy in self.strategies:
            state |= strategy.init_state()
        return state

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The two halves that move together: inference (q) and generation (p)."""
        vae = self.vae
        encoder = [*vae.encoder.parameters(), *vae.posterior.parameters()]
        inference = {id(p) for p in encoder}
        return {
            "encoder": encoder,
            "decoder": [p for p in vae.parameters() if id(p) not in inference],
        }
