"""Networks of many kinds, small enough to be simulated in seconds; seeded, in eval mode."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as f

from tests.networks.exports import ZOO


def block(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    act: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Convolution, batch norm, activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        act(),
    )


class Squeeze(nn.Module):
    """Squeeze and excitation (Hu et al. 2018)."""

    def __init__(self, channels: int, gate: type[nn.Module]) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, channels // 4, 1)
        self.up = nn.Conv2d(channels // 4, channels, 1)
        self.gate = gate()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(self.up(torch.relu(self.down(f.adaptive_avg_pool2d(x, 1)))))


class Bottleneck(nn.Module):
    """Expand, depthwise, squeeze, project."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        expand: int,
        act: type[nn.Module],
        gate: type[nn.Module],
    ) -> None:
        super().__init__()
        hidden = inputs * expand
        self.body = nn.Sequential(
            block(inputs, hidden, 1, act=act),
            block(hidden, hidden, kernel, stride, hidden, act),
            Squeeze(hidden, gate),
            block(hidden, outputs, 1, act=nn.Identity),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.residual else self.body(x)


def _classifier(features: nn.Module, channels: int, act: type[nn.Module]) -> nn.Module:
    return nn.Sequential(
        features,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 64),
        act(),
        nn.Linear(64, 10),
    )


def mobilenet_v1() -> nn.Module:
    """Depthwise separable convolutions (Howard et al. 2017)."""
    layers: list[nn.Module] = [block(3, 16, 3, 2)]
    inputs = 16
    for outputs, stride in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        layers += [block(inputs, inputs, 3, stride, inputs), block(inputs, outputs, 1)]
        inputs = outputs
    return _classifier(nn.Sequential(*layers), inputs, nn.ReLU)


def mobilenet_v3() -> nn.Module:
    """Hard swish and hard sigmoid gates (Howard et al. 2019)."""
    h, s = nn.Hardswish, nn.Hardsigmoid
    return _classifier(
        nn.Sequential(
            block(3, 16, 3, 2, act=h),
            Bottleneck(16, 24, 3, 2, 3, nn.ReLU, s),
            Bottleneck(24, 40, 5, 2, 3, h, s),
            Bottleneck(40, 40, 5, 1, 3, h, s),
        ),
        40,
        h,
    )


def efficientnet() -> nn.Module:
    """SiLU and sigmoid gates, kernels of 5 (Tan and Le 2019)."""
    a, g = nn.SiLU, nn.Sigmoid
    return _classifier(
        nn.Sequential(
            block(3, 16, 3, 2, act=a),
            Bottleneck(16, 16, 3, 1, 1, a, g),
            Bottleneck(16, 24, 3, 2, 4, a, g),
            Bottleneck(24, 40, 5, 2, 4, a, g),
            Bottleneck(40, 40, 5, 1, 4, a, g),
        ),
        40,
        a,
    )


class Yolo(nn.Module):
    """Two scales joined by an upsampling, heads of sigmoids, boxes flattened and concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(3, 16, 3, 2, act=nn.SiLU), block(16, 32, 3, 2, act=nn.SiLU))
        self.deep = nn.Sequential(block(32, 64, 3, 2, act=nn.SiLU), block(64, 64, 1, act=nn.SiLU))
        self.join = block(96, 32, 3, act=nn.SiLU)
        self.heads = nn.ModuleList([nn.Conv2d(32, 3 * 7, 1), nn.Conv2d(64, 3 * 7, 1)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        near = self.stem(x)
        far = self.deep(near)
        near = self.join(torch.cat([f.interpolate(far, scale_factor=2.0, mode="nearest"), near], 1))
        boxes = []
        for head, feature in zip(self.heads, (near, far), strict=True):
            y = torch.sigmoid(head(feature))
            batch, _, height, width = y.shape
            boxes.append(y.view(batch, 3, 7, height * width).transpose(2, 3).reshape(batch, -1, 7))
        return torch.cat(boxes, 1)


class UNet(nn.Module):
    """Down by max pools, up by transposed convolutions, skips (Ronneberger et al. 2015)."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.down1, self.down2 = block(1, width), block(width, 2 * width)
        self.middle = block(2 * width, 4 * width)
        self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
        self.join2 = block(4 * width, 2 * width)
        self.up1 = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.join1 = block(2 * width, width)
        self.last = nn.Conv2d(width, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = self.down1(x)
        two = self.down2(f.max_pool2d(one, 2))
        y = self.up2(self.middle(f.max_pool2d(two, 2)))
        y = self.up1(self.join2(torch.cat([y, two], 1)))
        return torch.sigmoid(self.last(self.join1(torch.cat([y, one], 1))))


class Encoder(nn.Module):
    """A transformer encoder, norms behind (BERT) or in front (ViT), GELU, an additive mask."""

    def __init__(
        self, width: int, heads: int, layers: int, *, before: bool, masked: int = 0, time: int = 0
    ) -> None:
        super().__init__()
        self.heads, self.before = heads, before
        self.attention = nn.ModuleList([nn.Linear(width, 3 * width) for _ in range(layers)])
        self.out = nn.ModuleList([nn.Linear(width, width) for _ in range(layers)])
        self.up = nn.ModuleList([nn.Linear(width, 4 * width) for _ in range(layers)])
        self.down = nn.ModuleList([nn.Linear(4 * width, width) for _ in range(layers)])
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2 * layers)])
        mask = torch.zeros(1, 1, 1, max(time, 1))
        if masked:
            mask[..., -masked:] = -10000.0
        self.register_buffer("mask", mask)

    def attend(self, x: torch.Tensor, layer: int) -> torch.Tensor:
        batch, time, width = x.shape
        q, k, v = (
            part.reshape(batch, time, self.heads, width // self.heads).transpose(1, 2)
            for part in self.attention[layer](x).chunk(3, -1)
        )
        scores = q @ k.transpose(2, 3) / (width // self.heads) ** 0.5 + self.mask
        mixed = torch.softmax(scores, -1) @ v
        return self.out[layer](mixed.transpose(1, 2).reshape(batch, time, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            first, second = self.norms[2 * layer], self.norms[2 * layer + 1]
            if self.before:
                x = x + self.attend(first(x), layer)
                x = x + down(f.gelu(up(second(x))))
            else:
                x = first(x + self.attend(x, layer))
                x = second(x + down(f.gelu(up(x))))
        return x


class ViT(nn.Module):
    """Patches by a convolution, a class token, positions, an encoder (Dosovitskiy et al. 2021)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.place = nn.Parameter(0.3 * torch.randn(1, 17, width))
        self.encoder = Encoder(width, 4, 2, before=True)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.patches(x).flatten(2).transpose(1, 2)
        y = torch.cat([self.token, y], 1) + self.place
        return self.head(self.norm(self.encoder(y))[:, 0])


class CRNN(nn.Module):
    """Convolutions, a bidirectional LSTM, a Linear a step (Shi et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            block(1, 16),
            nn.MaxPool2d(2),
            block(16, 32),
            nn.MaxPool2d((2, 1)),
            block(32, 32),
            nn.MaxPool2d((4, 1)),
        )
        self.lstm = nn.LSTM(64, 32, bidirectional=True)
        self.head = nn.Linear(64, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.features(x)
        return self.head(self.lstm(y.flatten(1, 2).permute(2, 0, 1))[0])


def crnn_gru() -> nn.Module:
    """As CRNN, with a GRU."""
    model = CRNN()
    model.lstm = nn.GRU(64, 32, bidirectional=True)  # type: ignore[assignment]
    return model


class DNSMOS(nn.Module):
    """A speech-quality CNN on 900 frames of 120 bands: odd pools, a global maximum, dense."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x.unsqueeze(1)).amax((2, 3)))


class TCN(nn.Module):
    """Causal dilated convolutions with residuals (Bai et al. 2018)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.first = nn.Conv1d(16, width, 1)
        self.convs = nn.ModuleList([nn.Conv1d(width, width, 3, dilation=2**k) for k in range(4)])
        self.last = nn.Conv1d(width, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for power, conv in enumerate(self.convs):
            x = x + torch.relu(conv(f.pad(x, (2 * 2**power, 0))))
        return self.last(x)


def ds_cnn() -> nn.Module:
    """A keyword spotter on 49 frames of 10 coefficients (Zhang et al. 2017)."""
    layers: list[nn.Module] = [
        nn.Conv2d(1, 64, (10, 4), (2, 2), (5, 1), bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
    ]
    for _ in range(4):
        layers += [block(64, 64, 3, groups=64), block(64, 64, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12))


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v3": mobilenet_v3,
    "efficientnet": efficientnet,
    "yolo": Yolo,
    "u_net": UNet,
    "bert": lambda: Encoder(384, 12, 6, before=False, masked=32, time=128),
    "vit": ViT,
    "crnn": CRNN,
    "crnn_gru": crnn_gru,
    "dnsmos": DNSMOS,
    "tcn": TCN,
    "ds_cnn": ds_cnn,
}


def build(name: str) -> nn.Module:
    """A network in eval mode, its batch norm statistics those of random data."""
    torch.manual_seed(7)
    model = BUILDERS[name]().train()
    with torch.no_grad():
        for seed in range(100, 104):
            model(sample(name, seed))
    return model.eval()


def sample(name: str, seed: int) -> torch.Tensor:
    """A smooth random input."""
    steps = torch.randn(ZOO[name].shape, generator=torch.Generator().manual_seed(seed))
    smooth = torch.cumsum(steps, -2)
    return smooth / smooth.std()
