# %% en
# # A CNN, from training to the DSP
#
# A small network with depthwise convolutions learns to tell four drawn shapes apart, is
# exported by torch,
# and runs on the DSP with 8 bits. Needs the extra `export`.
# %% zh
# # CNN：从训练到 DSP
#
# 一个带深度可分离卷积的小网络学习区分四种图形，由 torch 导出，并以 8 位在 DSP 上运行。需要额外
# 依赖 `export`。
# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import hexconv

torch.manual_seed(0)
torch.set_num_threads(1)
NAMES = ("disc", "square", "cross", "ring")


def pictures(count, seed):
    """Noisy pictures (count,1,32,32) float32 of shapes of any size and place, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=count)
    y, x = np.mgrid[:32, :32]
    drawn = []
    for label in labels:
        size = rng.uniform(5, 9)
        dx, dy = x - rng.uniform(11, 21), y - rng.uniform(11, 21)
        far, tall = np.hypot(dx, dy), np.maximum(abs(dx), abs(dy))
        narrow = np.minimum(abs(dx), abs(dy))
        inside = (far < size, tall < size, (tall < size) & (narrow < 2), abs(far - size) < 2)[label]
        drawn.append(inside * rng.uniform(0.5, 1) + rng.normal(0, 0.15, inside.shape))
    return np.array(drawn, np.float32)[:, None], labels


images, labels = pictures(2000, seed=1)
figure, axes = plt.subplots(1, 6, figsize=(8, 1.6))
for place, image, label in zip(axes, images, labels, strict=False):
    place.imshow(image[0], cmap="gray")
    place.set_title(NAMES[label], fontsize=9)
    place.axis("off")


# %% en
# ## Train
# %% zh
# ## 训练
# %%
def block(depth, wider, stride):
    return nn.Sequential(
        nn.Conv2d(depth, depth, 3, stride, 1, groups=depth, bias=False),
        nn.BatchNorm2d(depth),
        nn.ReLU6(),
        nn.Conv2d(depth, wider, 1, bias=False),
        nn.BatchNorm2d(wider),
        nn.ReLU6(),
    )


network = nn.Sequential(
    nn.Conv2d(1, 16, 3, 2, 1),
    nn.ReLU6(),
    block(16, 32, 2),
    block(32, 64, 2),
    block(64, 64, 1),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(64, 4),
)
optimizer = torch.optim.Adam(network.parameters(), 3e-3)
inputs, targets = torch.from_numpy(images), torch.from_numpy(labels)
for epoch in range(6):
    for batch in torch.randperm(len(inputs)).split(50):
        loss = nn.functional.cross_entropy(network(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}: loss {loss.item():.3f}")
network.eval()
test, truth = pictures(200, seed=2)
found = network(torch.from_numpy(test)).argmax(1).numpy()
print(f"float: {np.mean(found == truth):.1%} of {len(test)} new pictures right")
# %% en
# ## Export and convert
#
# BatchNorm and ReLU6 disappear into the convolutions before them.
# %% zh
# ## 导出与转换
#
# BatchNorm 与 ReLU6 并入其前面的卷积。
# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "shapes.onnx"
    example = (torch.zeros(1, 1, 32, 32),)
    names = {"input_names": ["image"], "output_names": ["scores"]}
    torch.onnx.export(network, example, path, dynamo=False, **names)
    calibration = [{"image": image[None]} for image in images[:50]]
    model = hexconv.convert(path, samples=calibration)
    report = hexconv.verify(
        model, path, calibration, held_out=[{"image": image[None]} for image in test[:50]]
    )
model
# %% en
# ## How good is it?
# %% zh
# ## 精度如何？
# %%
outputs = [hexconv.simulate(model, {"image": image[None]})["scores"] for image in test]
found = np.concatenate(outputs).argmax(1)
print(f"DSP: {np.mean(found == truth):.1%} of {len(test)} new pictures right")
report
# %% en
# ## How fast is it?
# %% zh
# ## 速度如何？
# %%
hexconv.cost.predict(model)
