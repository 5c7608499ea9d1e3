"""Single kernels at the sizes layers use, forward and backward, each with its floating-point operations or bytes.

A row is a workload like those of workloads.py: a function of the library that returns a function to time. `flops` counts a
multiplication and an addition as two; `bytes` what has to be read and written at least.
"""
import numpy as np

GEMM_SIZES = [(64, 64, 64), (128, 128, 128), (256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048),
              (2048, 384, 128), (2048, 65, 256), (32, 1024, 320)]
# batch, channels, height and width, channels out, kernel
CONV_SHAPES = [(16, 64, 56, 64, 3), (32, 16, 32, 16, 3), (64, 32, 28, 64, 3), (16, 128, 28, 128, 3), (16, 256, 14, 256, 1)]
KERNELS: dict = {}


def values(lib, *shape, grad=False):
    """Normal random numbers in float32."""
    x = lib.tensor(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))
    return x.requires_grad_() if grad else x


def add(name, make, flops=None, bytes=None):
    def workload(lib):
        return make(lib)
    workload.__doc__ = name
    if flops:
        workload.flops = flops
    if bytes:
        workload.bytes = bytes
    KERNELS[name] = workload


def without_gradients(lib, function):
    def run():
        with lib.no_grad():
            return function()
    return run


def backward(lib, function, *inputs):
    """The way back from function() to inputs alone, again and again."""
    y = function()
    y = y[0] if isinstance(y, tuple) else y
    dy = values(lib, *y.shape)
    return lambda: lib.grad(y, inputs, dy, retain_graph=True)


def add_gemm(m, n, k):
    def make(lib):
        a, b = values(lib, m, k), values(lib, k, n)
        return lambda: a @ b
    add(f"gemm_{m}x{n}x{k}", make, flops=2 * m * n * k)


def add_conv(batch, channels, size, out, kernel):
    def tensors(lib, grad):
        return (values(lib, batch, channels, size, size, grad=grad == "input"),
                values(lib, out, channels, kernel, kernel, grad=grad == "weight"))

    def make(kind):
        def workload(lib):
            x, w = tensors(lib, kind)

            def forward():
                return lib.F.conv2d(x, w, None, 1, kernel // 2)
            return forward if kind == "forward" else backward(lib, forward, x if kind == "input" else w)
        return workload
    for kind in ("forward", "input", "weight"):
        add(f"conv_{batch}x{channels}x{size}x{size}-{out}_{kernel}x{kernel}_{kind}", make(kind),
            flops=2 * batch * size * size * channels * out * kernel * kernel)


def add_pair(name, make, flops=None, bytes=None, back=2):
    """A function forward, and its way back to all inputs, which costs `back` times as much. make(lib, grad) returns the
    function and its inputs."""
    def there(lib):
        return without_gradients(lib, make(lib, False)[0])

    def and_back(lib):
        function, inputs = make(lib, True)
        return backward(lib, function, *inputs)
    add(f"{name}_forward", there, flops, bytes)
    add(f"{name}_backward", and_back, flops and back * flops, bytes and back * bytes)


def recurrent(kind):
    def make(lib, grad):
        layer, x = getattr(lib.nn, kind)(64, 256, batch_first=True), values(lib, 32, 64, 64, grad=grad)
        return lambda: layer(x), [x, *layer.parameters()]
    return make


def attention(lib, grad):
    q, k, v = (values(lib, 16, 4, 128, 32, grad=grad) for _ in range(3))
    return lambda: lib.F.scaled_dot_product_attention(q, k, v, is_causal=True), [q, k, v]


def layer_norm(lib, grad):
    x, w, b = values(lib, 2048, 128, grad=grad), values(lib, 128, grad=grad), values(lib, 128, grad=grad)
    return lambda: lib.F.layer_norm(x, (128,), w, b), [x, w, b]


def batch_norm(lib, grad):
    x, w, b = values(lib, 32, 32, 32, 32, grad=grad), values(lib, 32, grad=grad), values(lib, 32, grad=grad)
    return lambda: lib.F.batch_norm(x, None, None, w, b, True), [x, w, b]


def unary(name, *shape):
    def make(lib, grad):
        x = values(lib, *shape, grad=grad)
        arguments = (-1,) if name == "softmax" else (2,) if name == "max_pool2d" else ()
        return lambda: getattr(lib.F, name)(x, *arguments), [x]
    return make


def adam(lib):
    parameters = [values(lib, *shape, grad=True) for shape in ((1024, 784), (1024,), (1024, 1024), (1024,), (10, 1024), (10,))]
    for p in parameters:
        p.grad = values(lib, *p.shape)
    return lib.optim.Adam(parameters, lr=1e-3).step


for _size in GEMM_SIZES:
    add_gemm(*_size)
for _shape in CONV_SHAPES:
    add_conv(*_shape)
add_pair("lstm_32x64x256", recurrent("LSTM"), flops=2 * 32 * 64 * 1024 * (64 + 256))
add_pair("gru_32x64x256", recurrent("GRU"), flops=2 * 32 * 64 * 768 * (64 + 256))
add_pair("attention_16x4x128x32", attention, flops=2 * 2 * 16 * 4 * 128 * 128 * 32 // 2, back=2.5)
add_pair("layer_norm_2048x128", layer_norm, bytes=2 * 4 * 2048 * 128, back=1.5)
add_pair("batch_norm_32x32x32x32", batch_norm, bytes=2 * 4 * 32**4, back=1.5)
add_pair("softmax_2048x512", unary("softmax", 2048, 512), bytes=2 * 4 * 2048 * 512, back=1.5)
add_pair("gelu_2048x512", unary("gelu", 2048, 512), bytes=2 * 4 * 2048 * 512, back=1.5)
add_pair("relu_64x64x28x28", unary("relu", 64, 64, 28, 28), bytes=2 * 4 * 64 * 64 * 28 * 28, back=1.5)
add_pair("max_pool2d_64x64x28x28", unary("max_pool2d", 64, 64, 28, 28), bytes=1.25 * 4 * 64 * 64 * 28 * 28, back=1)
add("adam_1863690", adam, bytes=7 * 4 * 1863690)
