"""Parts of the families for sequences: embedding, encoder, and the VAE of tokens."""

# B batch, N decoded codes, K samples, T positions, V tokens, E embedding, P width, Z latent

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from vaecli.data.files.vocabulary import END, PAD
from vaecli.models.base import Capacity, Family
from vaecli.models.likelihoods.categorical import Categorical
from vaecli.models.parts.blocks import require_at_least, require_size
from vaecli.models.vae import VAE, repeated

LOGITS = 2**26  # bytes of logits that an evaluation holds at once


class Pooling(Enum):
    """The way from the states of the encoder to one vector."""

    mean = "mean"  # over the positions that are not padding
    last = "last"


class SequenceVAE(VAE):
    """A VAE whose data are tokens and whose decoder writes them one after the other."""

    decoder: SequenceDecoder
    likelihood: Categorical

    def decode(self, z: Tensor, x: Tensor) -> Tensor:
        """Logits (N, V, 1, T), float32, for codes z (N, Z), each token from those before it."""
        return self._logits(self.decoder.features(z, x))

    def log_px(self, x: Tensor, z: Tensor, read: Tensor | None = None) -> Tensor:
        """Log p(x|z), summed over tokens; see VAE.

        Args:
            x: tokens (B, 1, 1, T).
            z: codes (K, B, Z).
            read: tokens for the decoder to read in place of x.

        Returns:
            (K, B) nats.
        """
        K, B, Z = z.shape
        x, given = repeated(x, read, K)
        return self._by_position(x, z.reshape(K * B, Z), given).sum(1).view(K, B)

    def log_px_by_position(self, x: Tensor, z: Tensor) -> Tensor:
        """Log p(x_t|z, x_before_t), 0 for padding: x (N, 1, 1, T), z (N, Z) -> (N, T)."""
        return self._by_position(x, z, x)

    def _by_position(self, x: Tensor, z: Tensor, given: Tensor) -> Tensor:
        # Without gradients logits of N*T*V numbers need never be held at once.
        logits = 4 * self.shape[0] * x.shape[-1]  # bytes of a sequence's
        rows = len(x) if torch.is_grad_enabled() else max(1, LOGITS // logits)
        parts = zip(x.split(rows), z.split(rows), given.split(rows), strict=True)
        log_probs = [
            self.likelihood.per_position(self.decode(codes, read), tokens)
            for tokens, codes, read in parts
        ]
        return torch.cat(log_probs)

    def _logits(self, features: Tensor) -> Tensor:
        weight, bias = self.decoder.readout.weight, self.output_bias.flatten()
        if torch.is_autocast_enabled(features.device.type):  # which would round the bias
            out = linear(features, weight).float() + bias
        else:  # in the product it saves a pass over N*T*V numbers
            out = linear(features, weight, bias)
        return out.movedim(-1, 1)[:, :, None]

    # ------------------------------------------------------------------ text

    @torch.no_grad()
    def draw(self, z: Tensor, noise: Tensor | None) -> Tensor:
        """Tokens (N, 1, 1, T) for codes z (N, Z), one by one; padding behind their end.

        noise: uniform (N, 1, 1, T); None takes the most probable token each time.
        """
        x = torch.full((len(z), 1, 1, self.shape[2]), PAD, device=z.device)
        ended = torch.zeros(len(z), dtype=torch.bool, device=z.device)
        state = None
        for t in range(self.shape[2]):
            features, state = self.decoder.step(z, x[..., : t + 1], state)
            out = self._logits(features)
            out[:, PAD] = -torch.inf  # nothing is ever trained to be padding
            if noise is None:
                token = self.likelihood.mean(out)
            else:
                token = self.likelihood.sample(out, noise[..., t : t + 1])
            token = token[:, 0, 0, 0].masked_fill(ended, PAD)
            x[:, 0, 0, t] = token
            ended = ended | (token == END)
            if ended.all():
                break
        return x


@dataclass(frozen=True)
class SequenceFamily(Family):
    """The keys that families for sequences share. Encoder: embedding, LSTM, pooling, affine map.

    The encoder is the same for all of them, so that decoders can be compared.
    embedding: numbers E that stand for a token, in the encoder and in the decoder.
    encoder_width: units P of the encoder's LSTM.
    """

    embedding: int = 128
    encoder_width: int = 256
    pooling: Pooling = Pooling.mean

    autoregressive: ClassVar[bool] = True
    of_sequences: ClassVar[bool] = True
    vae: ClassVar[type[VAE]] = SequenceVAE

    def validate(self) -> None:
        """Raise UsageError for keys outside their range."""
        super().validate()
        require_at_least(1, "model.embedding", self.embedding, "128")
        require_at_least(1, "model.encoder_width", self.encoder_width, "256")

    def validate_capacity(self, capacity: Capacity) -> None:
        """Raise UsageError unless the decoder has at least one unit and one layer."""
        require_size(capacity, least_depth=1)

    def encoder(self, shape: tuple[int, int, int], outputs: int) -> nn.Module:
        """Maps tokens x (B, 1, 1, T) to (B, outputs)."""
        return SequenceEncoder(shape[0], self.embedding, self.encoder_width, outputs, self.pooling)

    @abstractmethod
    def decoder(
        self, shape: tuple[int, int, int], outputs: int, capacity: Capacity
    ) -> SequenceDecoder:
        """Build the decoder.

        Args:
            shape: (V, 1, T) of an example.
            outputs: 1, the logit of each token.
            capacity: its size.

        Returns:
            A module (z (N, Z), x (N, 1, 1, T)) -> (N, V, 1, T); each position reads the
            tokens before it.
        """


class SequenceEncoder(nn.Module):
    """x (B, 1, 1, T) -> (B, outputs): embedding, LSTM, pooling over the tokens, affine map.

    The state at a position depends on the tokens up to it alone, and padding comes last, so no
    padding reaches the pooled states. The arithmetic is float32 under autocast as well: the
    parameters of a posterior close to the prior are small numbers.
    """

    def __init__(self, words: int, embedding: int, width: int, outputs: int, pooling: Pooling):
        super().__init__()
        self.embed = nn.Embedding(words, embedding)
        nn.init.normal_(self.embed.weight, std=embedding**-0.5)
        self.lstm = nn.LSTM(embedding, width, batch_first=True)
        self.head = nn.Linear(width, outputs)
        self.pooling = pooling

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, 1, 1, T) -> (B, outputs)."""
        tokens = x.flatten(1)  # (B, T)
        states, _ = run(self.lstm, self.embed(tokens))  # (B, T, P)
        with torch.autocast(x.device.type, enabled=False):
            return self.head(self._pooled(states, tokens != PAD))

    def _pooled(self, states: Tensor, valid: Tensor) -> Tensor:
        length = valid.sum(1).clamp(min=1)  # (B,)
        if self.pooling is Pooling.mean:
            return (states * valid[..., None]).sum(1) / length[:, None]
        last = (length - 1)[:, None, None].expand(-1, 1, states.shape[2])
        return states.gather(1, last)[:, 0]


def run(
    lstm: nn.LSTM, inputs: Tensor, state: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Run an LSTM in float32, under autocast too.

    Autocast would take cuDNN's to fp16, whose range is too small without a scaler, and a CPU
    without bf16 refuses.

    Args:
        lstm: batch first.
        inputs: (N, T, E).
        state: hidden and cell state before the first position, (depth, N, P) each, float32; None
            is zero.

    Returns:
        The states (N, T, P), and hidden and cell state of all layers after the last position.
    """
    with torch.autocast(inputs.device.type, enabled=False):
        return lstm(inputs.float(), state)


class SequenceDecoder(nn.Module):
    """Base of the decoders of sequences: an embedding of the tokens so far, and a readout.

    A subclass turns inputs (N, T, E), position t holding token t-1, and codes z into `states`.
    """

    def __init__(self, words: int, embedding: int, width: int):
        super().__init__()
        self.embed = nn.Embedding(words, embedding)
        nn.init.normal_(self.embed.weight, std=embedding**-0.5)
        self.begin = nn.Parameter(torch.zeros(embedding))  # stands where nothing is written yet
        # The VAE adds the bias, one per token.
        self.readout = nn.Linear(width, words, bias=False)

    @abstractmethod
    def states(self, inputs: Tensor, z: Tensor) -> Tensor:
        """Inputs (N, T, E), z (N, Z) -> (N, T, P), causal in the inputs."""

    def features(self, z: Tensor, x: Tensor) -> Tensor:
        """The input of the readout: z (N, Z), x (N, 1, 1, T) -> (N, T, P)."""
        return self.states(self.inputs(x), z)

    def inputs(self, x: Tensor) -> Tensor:
        """The embedding of the token before each position: (N, 1, 1, T) -> (N, T, E)."""
        written = self.embed(x[:, 0, 0, :-1])  # (N, T-1, E)
        begin = self.begin.to(written.dtype).expand(len(x), 1, -1)
        return torch.cat([begin, written], dim=1)

    def step(self, z: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Compute the last position of `features`.

        Args:
            z: (N, Z).
            x: (N, 1, 1, t+1), one token longer than at the position before.
            state: the state that the call for the position before returned; None at the first.

        Returns:
            Features (N, 1, P), and a state from which the next position is cheaper.
        """
        return self.features(z, x)[:, -1:], None

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """Logits without their bias, (N, V, 1, T)."""
        return self.readout(self.features(z, x)).movedim(-1, 1)[:, :, None]
