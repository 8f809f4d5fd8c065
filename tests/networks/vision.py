"""Image networks: a MobileNetV2-like CNN with a Linear head, and a ResNet-like one."""

from __future__ import annotations

import torch
from torch import nn


def _conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, relu6: bool = True
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.ReLU6()] if relu6 else []))


class Inverted(nn.Module):
    """Expand, depthwise, project; a residual where shapes allow (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = inputs * expand
        self.residual = stride == 1 and inputs == outputs
        self.body = nn.Sequential(
            *([_conv(inputs, hidden, 1)] if expand > 1 else []),
            _conv(hidden, hidden, 3, stride, hidden),
            _conv(hidden, outputs, 1, relu6=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.residual else self.body(x)


class MobileNet(nn.Module):
    """MobileNetV2's plan, (expand, channels, repeats, stride) a row."""

    def __init__(
        self, plan: tuple[tuple[int, int, int, int], ...], classes: int, last: int, stem: int
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3, stem, 3, 2)]
        inputs = stem
        for expand, outputs, repeats, stride in plan:
            for index in range(repeats):
                layers.append(Inverted(inputs, outputs, stride if index == 0 else 1, expand))
                inputs = outputs
        layers.append(_conv(inputs, last, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


SMALL = ((1, 16, 1, 1), (4, 24, 2, 2), (4, 32, 2, 2), (4, 64, 1, 2))
FULL = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class Residual(nn.Module):
    """A basic block (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.down = (
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
            if stride > 1 or inputs != outputs
            else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.down(x))


class ResNet(nn.Module):
    """A stem with max pool, basic blocks, global average pool, a Linear."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64), classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        self.pool = nn.MaxPool2d(3, 2, 1)
        blocks: list[nn.Module] = []
        inputs = widths[0]
        for index, outputs in enumerate(widths):
            stride = 1 if index == 0 else 2
            blocks += [Residual(inputs, outputs, stride), Residual(outputs, outputs, 1)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.bn(self.stem(x))))
        return self.fc(torch.flatten(self.average(self.blocks(x)), 1))


def _settled(model: nn.Module) -> nn.Module:
    """Batch norm statistics as after training: measured on random images."""
    model.train()
    with torch.no_grad():
        for _ in range(5):
            model(torch.randn(4, 3, 64, 64))
    return model.eval()


def mobilenet(full: bool = False) -> nn.Module:
    """A seeded MobileNetV2-like network in eval mode."""
    torch.manual_seed(5)
    if full:
        return _settled(MobileNet(FULL, 1000, 1280, 32))
    return _settled(MobileNet(SMALL, 10, 128, 16))


def resnet() -> nn.Module:
    """A seeded ResNet-like network in eval mode."""
    torch.manual_seed(7)
    return _settled(ResNet())
