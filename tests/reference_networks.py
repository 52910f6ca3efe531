"""Networks as their papers and `models/upstream.py` describe them, under the names of the authors' code.

Written for the tests alone, by other means than the package's networks, so that the two can be compared.
"""

import torch
from torch import nn
from torch.nn import functional


def conv(inputs, outputs, size=3, dilation=1, **options):
    return nn.Conv2d(inputs, outputs, size, padding=dilation * (size // 2), dilation=dilation, **options)


def enlarged(x, like):
    return functional.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class ConvNormRelu(nn.Module):
    def __init__(self, inputs, outputs, dilation):
        super().__init__()
        self.conv_s1 = conv(inputs, outputs, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.bn_s1(self.conv_s1(x)).relu()


class RSU(nn.Module):
    def __init__(self, height, inputs, middle, outputs, flat=False):
        super().__init__()
        self.height, self.flat = height, flat
        self.rebnconvin = ConvNormRelu(inputs, outputs, 1)
        for i in range(1, height + 1):
            dilation = 2 ** (i - 1) if flat else 1 + (i == height)
            self.add_module(f"rebnconv{i}", ConvNormRelu(outputs if i == 1 else middle, middle, dilation))
        for i in range(height - 1, 0, -1):
            dilation = 2 ** (i - 1) if flat else 1
            self.add_module(f"rebnconv{i}d", ConvNormRelu(2 * middle, outputs if i == 1 else middle, dilation))

    def forward(self, x):
        entry = self.rebnconvin(x)
        found = {0: entry}
        for i in range(1, self.height + 1):
            pooled = not self.flat and 1 < i < self.height
            before = functional.max_pool2d(found[i - 1], 2, ceil_mode=True) if pooled else found[i - 1]
            found[i] = self.get_submodule(f"rebnconv{i}")(before)
        up = found[self.height]
        for i in range(self.height - 1, 0, -1):
            up = self.get_submodule(f"rebnconv{i}d")(torch.cat((enlarged(up, found[i]), found[i]), 1))
        return up + entry


class U2NetReference(nn.Module):
    """Logits of the fusion. `small` is U2-NetP; `share` divides all features."""

    FULL = ([(32, 64), (32, 128), (64, 256), (128, 512), (256, 512), (256, 512)], [16, 32, 64, 128, 256])

    def __init__(self, inputs, outputs, small=False, share=1):
        super().__init__()
        down, up = ([(16, 64)] * 6, [16] * 5) if small else self.FULL
        down, up = [(m // share, o // share) for m, o in down], [m // share for m in up]
        heights = (7, 6, 5, 4, 4, 4)
        before = inputs
        for i, (middle, after) in enumerate(down, start=1):
            self.add_module(f"stage{i}", RSU(heights[i - 1], before, middle, after, flat=i > 4))
            before = after
        sides = [before]
        for i in range(5, 0, -1):
            after = down[max(0, i - 2)][1]
            self.add_module(f"stage{i}d", RSU(heights[i - 1], before + down[i - 1][1], up[i - 1], after, flat=i > 4))
            before = after
            sides.insert(0, after)
        for i, features in enumerate(sides, start=1):
            self.add_module(f"side{i}", conv(features, outputs))
        self.outconv = nn.Conv2d(6 * outputs, outputs, 1)

    def forward(self, image):
        found, x = {}, image
        for i in range(1, 7):
            x = self.get_submodule(f"stage{i}")(x if i == 1 else functional.max_pool2d(x, 2, ceil_mode=True))
            found[i] = x
        for i in range(5, 0, -1):
            x = self.get_submodule(f"stage{i}d")(torch.cat((enlarged(x, found[i]), found[i]), 1))
            found[i] = x
        maps = [enlarged(self.get_submodule(f"side{i}")(found[i]), image) for i in range(1, 7)]
        return self.outconv(torch.cat(maps, 1))


def rectified(inputs, outputs, stride=1):
    return [nn.BatchNorm2d(inputs), nn.ReLU(), conv(inputs, outputs, stride=stride)]


class Excite(nn.Module):
    def __init__(self, features):
        super().__init__()
        squeeze, widen = nn.Linear(features, features // 8, bias=False), nn.Linear(features // 8, features, bias=False)
        self.net = nn.Sequential(squeeze, nn.ReLU(), widen, nn.Sigmoid())

    def forward(self, x):
        return x * self.net(functional.adaptive_avg_pool2d(x, 1).flatten(1))[:, :, None, None]


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride=1, stem=False):
        super().__init__()
        first = [conv(inputs, outputs)] if stem else rectified(inputs, outputs, stride)
        self.c1 = nn.Sequential(*first, *rectified(outputs, outputs))
        self.c2 = nn.Sequential(conv(inputs, outputs, 1, stride=stride), nn.BatchNorm2d(outputs))
        self.attn = Excite(outputs)

    def forward(self, x):
        return self.attn(self.c1(x) + self.c2(x))


class Atrous(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        for i, rate in enumerate((1, 6, 12, 18), start=1):
            branch = nn.Sequential(conv(inputs, outputs, dilation=rate), nn.BatchNorm2d(outputs))
            self.add_module(f"c{i}", branch)
        self.c5 = conv(outputs, outputs, 1)

    def forward(self, x):
        return self.c5(self.c1(x) + self.c2(x) + self.c3(x) + self.c4(x))


class Gate(nn.Module):
    def __init__(self, skip, below):
        super().__init__()
        self.g_conv = nn.Sequential(*rectified(skip, below), nn.MaxPool2d(2))
        self.x_conv = nn.Sequential(*rectified(below, below))
        self.gc_conv = nn.Sequential(*rectified(below, below))

    def forward(self, skip, x):
        return self.gc_conv(self.g_conv(skip) + self.x_conv(x)) * x


class Expand(nn.Module):
    def __init__(self, skip, below, outputs):
        super().__init__()
        self.a1 = Gate(skip, below)
        self.r1 = Residual(below + skip, outputs)

    def forward(self, skip, x):
        gated = self.a1(skip, x).repeat_interleave(2, 2).repeat_interleave(2, 3)
        return self.r1(torch.cat((gated, skip), 1))


class ResUNetPlusPlusReference(nn.Module):
    def __init__(self, inputs, outputs, width=16):
        super().__init__()
        f = [width * 2**i for i in range(5)]
        self.c1 = Residual(inputs, f[0], stem=True)
        self.c2, self.c3, self.c4 = (Residual(f[i], f[i + 1], 2) for i in range(3))
        self.b1 = Atrous(f[3], f[4])
        self.d1, self.d2, self.d3 = Expand(f[2], f[4], f[3]), Expand(f[1], f[3], f[2]), Expand(f[0], f[2], f[1])
        self.aspp = Atrous(f[1], f[0])
        self.output = conv(f[0], outputs, 1)

    def forward(self, x):
        c1 = self.c1(x)
        c2 = self.c2(c1)
        c3 = self.c3(c2)
        x = self.d1(c3, self.b1(self.c4(c3)))
        return self.output(self.aspp(self.d3(c1, self.d2(c2, x))))


def twice(name, inputs, outputs):
    block = nn.Sequential()
    for i, before in ((1, inputs), (2, outputs)):
        block.add_module(f"{name}conv{i}", conv(before, outputs, bias=False))
        block.add_module(f"{name}norm{i}", nn.BatchNorm2d(outputs))
        block.add_module(f"{name}relu{i}", nn.ReLU())
    return block


class BrainUNetReference(nn.Module):
    """Logits; the features from below come before the skip, which is easily overlooked."""

    def __init__(self, inputs, outputs, width=32):
        super().__init__()
        f = [width * 2**i for i in range(5)]
        for i in range(4):
            self.add_module(f"encoder{i + 1}", twice(f"enc{i + 1}", inputs if i == 0 else f[i - 1], f[i]))
        self.bottleneck = twice("bottleneck", f[3], f[4])
        for i in (4, 3, 2, 1):
            self.add_module(f"upconv{i}", nn.ConvTranspose2d(f[i], f[i - 1], 2, stride=2))
            self.add_module(f"decoder{i}", twice(f"dec{i}", f[i], f[i - 1]))
        self.conv = conv(width, outputs, 1)

    def forward(self, x):
        skips = []
        for i in (1, 2, 3, 4):
            skips.append(self.get_submodule(f"encoder{i}")(x))
            x = functional.max_pool2d(skips[-1], 2)
        x = self.bottleneck(x)
        for i in (4, 3, 2, 1):
            up = self.get_submodule(f"upconv{i}")(x)
            x = self.get_submodule(f"decoder{i}")(torch.cat((up, skips[i - 1]), 1))
        return self.conv(x)
