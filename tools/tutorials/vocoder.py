# %% en
# # A vocoder that you can hear
#
# The sample voice that ships with hexconv (a small HiFi-GAN) in float and as the DSP computes it.
# %% zh
# # 可以听到的声码器
#
# hexconv 自带的示例语音（小型 HiFi-GAN），分别以浮点和 DSP 的方式计算。
# %%
import matplotlib.pyplot as plt
import onnxruntime
from IPython.display import Audio

import hexconv
from hexconv.models import voice
from hexconv.models.fidelity import compare
from hexconv.models.mel import log_mel

FRAMES = 72
generator = voice.onnx_model(FRAMES)
mels = voice.mels()
{name: mel.shape for name, mel in mels.items()}
# %% en
# ## Convert
#
# A DSP model has a fixed length: 72 mel frames, 0.84 seconds. Ranges come from the other
# sentences, not
# from the one that is heard below.
# %% zh
# ## 转换
#
# DSP 模型的长度固定：72 个 mel 帧，即 0.84 秒。范围由其他句子得到，不使用下面播放的句子。
# %%
heard = mels["en_us"][:, :, 40 : 40 + FRAMES]
others = [mel for name, mel in mels.items() if name != "en_us"]
chunks = [
    {"inputs": mel[:, :, start : start + FRAMES]}
    for mel in others
    for start in range(0, mel.shape[2] - FRAMES, FRAMES)
]
model = hexconv.convert(generator, samples=chunks)
model
# %% en
# ## Listen
#
# The float model in ONNX Runtime:
# %% zh
# ## 试听
#
# 浮点模型，由 ONNX Runtime 计算：
# %%
session = onnxruntime.InferenceSession(generator.SerializeToString())
wave = session.run(None, {"inputs": heard})[0].ravel()
rate = voice.CONFIG.sampling_rate
Audio(wave, rate=rate, normalize=False)
# %% en
# The DSP, in 8 bits, from the simulator:
# %% zh
# DSP 的 8 位计算，由模拟器给出：
# %%
quantized = hexconv.simulate(model, {"inputs": heard})["output"].ravel()
Audio(quantized, rate=rate, normalize=False)
# %% en
# ## Measure
#
# SNR of the wave, distance of the mels, spectral distances between the two, and intelligibility.
# With the package `pesq` (extra `pesq`, compiled from C), `figures` has PESQ as well.
# %% zh
# ## 度量
#
# 两者之间的波形 SNR、mel 距离、频谱距离与可懂度。
# 装有 `pesq` 包时（可选依赖 `pesq`，需编译 C 代码），`figures` 中还有 PESQ。
# %%
figures = compare(wave, quantized, voice.CONFIG).as_dict()
{name: figures[name] for name in ("snr", "mel_l1", "lsd", "mcd", "stoi")}
# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.4), sharey=True)
for axes, title, samples in ((left, "float", wave), (right, "DSP", quantized)):
    axes.imshow(log_mel(samples, voice.CONFIG)[0], aspect="auto", origin="lower", cmap="magma")
    axes.set(title=title, xlabel="frame")
left.set_ylabel("mel band")
plt.tight_layout()
# %% en
# ## How fast is it?
# %% zh
# ## 速度如何？
# %%
cost = hexconv.cost.predict(model)
time = cost.time()
seconds = FRAMES * voice.CONFIG.hop_size / rate
print(f"{time.low:.1f} to {time.high:.1f} ms predicted for {1000 * seconds:.0f} ms of sound")
cost
