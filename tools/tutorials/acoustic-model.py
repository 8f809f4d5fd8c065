# %% en
# # An acoustic model, from ONNX to the DSP
#
# The built-in Transformer encoder (speech 1x144x40, scores of 287 units for each frame) is
# checked,
# converted and compared with its float form. Nothing here needs a phone.
# %% zh
# # 声学模型：从 ONNX 到 DSP
#
# 内置的 Transformer 编码器（输入 speech 1x144x40，每帧输出 287 个单元的得分）在此经过检查、转
# 换，并与其浮点模型对比。
# 全程不需要手机。
# %%
import matplotlib.pyplot as plt
import numpy as np

import hexconv
from hexconv.models.encoder import reference_encoder, sample_speech

encoder = reference_encoder()
speech = sample_speech(10)
calibration = [{"speech": chunk} for chunk in speech[:6]]
held_out = [{"speech": chunk} for chunk in speech[6:]]
# %% en
# ## Does it run?
#
# `check` names what each ONNX node becomes, or why it is unsupported.
# %% zh
# ## 能否运行？
#
# `check` 列出每个 ONNX 节点映射成什么，或为何不受支持。
# %%
support = hexconv.check(encoder)
print(f"{support.mac_share:.1%} of the multiply-accumulates in int8, all: {support.ok}")
support
# %% en
# ## Convert
#
# Six chunks of speech define the ranges. `model.save("build/")` writes the files that MACE loads.
# %% zh
# ## 转换
#
# 六段语音决定各张量的范围。`model.save("build/")` 写出 MACE 加载的文件。
# %%
model = hexconv.convert(encoder, samples=calibration)
model
# %% en
# ## How good is it?
#
# Four chunks that calibration has not seen. What counts for a frame classifier is `top1`: the
# share of frames
# with the same label.
# %% zh
# ## 精度如何？
#
# 使用四段校准未见过的语音。对帧分类器而言，关键指标是 `top1`，即标签相同的帧所占的比例。
# %%
report = hexconv.verify(model, encoder, calibration, held_out=held_out)
report
# %% en
# The error along the network: `own` is what a layer adds by itself, `accumulated` is what has
# arrived
# there.
# %% zh
# 误差沿网络的变化：`own` 是该层自身引入的误差，`accumulated` 是到该层为止累积的误差。
# %%
layers = sorted(report.layers, key=lambda row: row.position)
figure, axes = plt.subplots(figsize=(8, 2.8))
for kind in ("own", "accumulated"):
    axes.plot([getattr(row.held_out, kind).sqnr for row in layers], ".-", label=kind, linewidth=0.8)
axes.set(xlabel="layer", ylabel="SQNR, dB")
axes.legend()
axes.grid(alpha=0.3)
# %% en
# ## The same bits as the DSP
#
# `simulate` returns what the library on the phone computes, bit for bit.
# %% zh
# ## 与 DSP 逐位一致
#
# `simulate` 返回手机上的库所计算的结果，逐位一致。
# %%
scores = hexconv.simulate(model, held_out[0])["fa_out"][0]
figure, axes = plt.subplots(figsize=(8, 2.4))
axes.imshow(np.log10(scores.T + 1e-3), aspect="auto", origin="lower", cmap="magma")
axes.set(xlabel="frame", ylabel="unit")
plt.tight_layout()
# %% en
# ## How fast is it?
#
# Packets are what the DSP issues; milliseconds are a range, from a DSP at full clock to the
# published
# profile of a phone.
# %% zh
# ## 速度如何？
#
# packets 指 DSP 发射的指令包；毫秒数是一个区间，从 DSP 全速运行到已公布的手机 profile。
# %%
cost = hexconv.cost.predict(model)
cost
