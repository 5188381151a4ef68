"""A recurrent layer that runs at a fraction of the frame rate, on every frame.

Trained on frames 1024 samples apart and run on frames 256 apart, in four turns, it costs a quarter
in training, and its latency stays that of the short hop.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FROZEN = 1e4  # of a gate's input: its sigmoid is 0 or 1 to the last bit


class Interleaved(nn.Module):
    """An LSTM trained on frames a long hop apart, run on frames a short hop apart.

    Equation: frame t follows frame t − every, as neighbours did in training; `every` streams with
    states of their own take turns. The first state is that of the next frame, so a stream can be
    cut into calls of any number of frames.

    A call of F frames is padded to whole turns. In the padding the gates are frozen, forget open
    and input shut, by one more input with fixed weights: the cell stays, and the hidden state is
    taken from before the padding.
    """

    def __init__(self, lstm: nn.LSTM, every: int) -> None:
        super().__init__()
        self.every = every
        self.layers = nn.ModuleList(_frozen(lstm, k) for k in range(lstm.num_layers))

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run frame after frame.

        Parameters
        ----------
        x : (F, size), F of any size.
        hidden, cell : (layers, every, size), a row for each of the interleaved streams.

        Returns
        -------
        The outputs (F, size), and the next states, the stream that is due first in row 0.
        """
        every = self.every
        frames = torch._shape_as_tensor(x)[0]
        steps = torch.div(frames + every - 1, every, rounding_mode="floor")
        phase = torch.arange(every)
        # steps that each stream has made in these frames: its hidden state is taken from there
        reached = torch.div(frames - phase + every - 1, every, rounding_mode="floor")
        turned = (phase + frames) % every  # the stream of the next frame comes first
        # 1 in the padding: an input that freezes the gates there
        frozen = torch.cat([torch.zeros_like(x[:, :1]), torch.ones(every - 1, 1)])
        frozen = frozen[: steps * every].reshape(-1, every, 1)
        x = torch.cat([x, x.new_zeros(every - 1, x.shape[1])])[: steps * every]
        x = x.reshape(-1, every, x.shape[1])  # (steps, every, size)
        hs, cs = [], []
        for k, layer in enumerate(self.layers):
            before = hidden[k : k + 1]
            x, (_, c) = layer(torch.cat([x, frozen], -1), (before, cell[k : k + 1]))
            history = torch.cat([before, x])  # (1 + steps, every, size)
            h = history[reached, phase]  # (every, size), what padding made of it left out
            hs.append(h[turned])
            cs.append(c[0][turned])
        return x.flatten(0, 1)[:frames], torch.stack(hs), torch.stack(cs)


def _frozen(lstm: nn.LSTM, number: int) -> nn.LSTM:
    """Return layer `number` of an LSTM with one more input, which stops its time."""
    weights = {name: getattr(lstm, f"{name}_l{number}").data for name in _NAMES}
    size = lstm.hidden_size
    stop = torch.zeros(4 * size, 1)  # gates in the order input, forget, cell, output
    stop[:size], stop[size : 2 * size] = -FROZEN, FROZEN
    weights["weight_ih"] = torch.cat([weights["weight_ih"], stop], 1)
    layer = nn.LSTM(weights["weight_ih"].shape[1], size)
    layer.load_state_dict({f"{name}_l0": value for name, value in weights.items()})
    return layer


_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
