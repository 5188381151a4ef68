"""Open-Unmix's network as its paper and code describe it, in torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OpenUnmix(nn.Module):
    """Magnitudes (batch, 2, bins, frames) to those of a source."""

    def __init__(self, nb_bins: int, hidden_size: int, max_bin: int, nb_layers: int = 3,
                 unidirectional: bool = False) -> None:  # fmt: skip
        super().__init__()
        self.seen, self.bins = max_bin, nb_bins
        self.fc1 = nn.Linear(2 * max_bin, hidden_size, bias=False)
        self.bn1 = nn.BatchNorm1d(hidden_size)
        units = hidden_size if unidirectional else hidden_size // 2
        self.lstm = nn.LSTM(hidden_size, units, nb_layers, bidirectional=not unidirectional)
        self.fc2 = nn.Linear(2 * hidden_size, hidden_size, bias=False)
        self.bn2 = nn.BatchNorm1d(hidden_size)
        self.fc3 = nn.Linear(hidden_size, 2 * nb_bins, bias=False)
        self.bn3 = nn.BatchNorm1d(2 * nb_bins)
        self.input_mean = nn.Parameter(torch.zeros(max_bin))
        self.input_scale = nn.Parameter(torch.ones(max_bin))
        self.output_scale = nn.Parameter(torch.ones(nb_bins))
        self.output_mean = nn.Parameter(torch.ones(nb_bins))

    def forward(self, mixture: Tensor) -> Tensor:
        batch, _, _, frames = mixture.shape
        magnitude = mixture.permute(3, 0, 1, 2)  # (frames, batch, 2, bins)
        value = (magnitude[..., : self.seen] + self.input_mean) * self.input_scale
        value = torch.tanh(self.bn1(self.fc1(value.reshape(frames * batch, -1))))
        value = value.reshape(frames, batch, -1)
        value = torch.cat([value, self.lstm(value)[0]], -1).reshape(frames * batch, -1)
        value = self.bn3(self.fc3(torch.relu(self.bn2(self.fc2(value)))))
        value = value.reshape(frames, batch, 2, self.bins) * self.output_scale + self.output_mean
        return (torch.relu(value) * magnitude).permute(1, 2, 3, 0)


class XUMX(nn.Module):
    """Magnitudes (frames, 1, 2, bins) to factors (sources, frames, 1, 2, bins)."""

    def __init__(self, networks: dict[str, OpenUnmix]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)

    def forward(self, magnitude: Tensor) -> Tensor:
        networks, frames = list(self.networks.values()), magnitude.shape[0]
        encoded = []
        for one in networks:
            value = (magnitude[..., : one.seen] + one.input_mean) * one.input_scale
            encoded.append(torch.tanh(one.bn1(one.fc1(value.reshape(frames, -1))))[:, None])
        first = sum(encoded) / len(networks)
        heard = [torch.cat([own, one.lstm(first)[0]], -1)
                 for own, one in zip(encoded, networks, strict=True)]  # fmt: skip
        second = (sum(heard) / len(networks)).reshape(frames, -1)
        factors = []
        for one in networks:
            value = one.bn3(one.fc3(torch.relu(one.bn2(one.fc2(second)))))
            value = value.reshape(frames, 1, 2, one.bins) * one.output_scale + one.output_mean
            factors.append(torch.relu(value))
        return torch.stack(factors)

    def saved(self) -> dict[str, object]:
        """Give what asteroid saves of it."""
        state = {}
        for source, one in self.networks.items():
            for name, array in one.state_dict().items():
                layer, _, part = name.partition(".")
                place = {"fc1": f"layer_enc.{source}.enc.0.", "bn1": f"layer_enc.{source}.enc.1.",
                         "lstm": f"layer_lstm.{source}.", "fc2": f"layer_dec.{source}.dec.0.",
                         "bn2": f"layer_dec.{source}.dec.1.", "fc3": f"layer_dec.{source}.dec.3.",
                         "bn3": f"layer_dec.{source}.dec.4."}.get(layer)  # fmt: skip
                state[f"{place}{part}" if place else f"mean_scale.{name}_{source}"] = array
        return {"model_name": "XUMX", "state_dict": state,
                "model_args": {"sources": list(self.networks), "max_bin": None}}  # fmt: skip
