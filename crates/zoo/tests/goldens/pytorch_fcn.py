"""FCN-32s, FCN-16s, FCN-8s and FCN-8s-at-once in the layout and under the parameter names of wkentaro/pytorch-fcn.

The first convolution is padded by 100, so that pictures of any size survive the five pools; pools round up
(`ceil_mode`), deconvolutions have no bias and no padding, and each crop takes back the border that the padding made:
5 and 9 for the scores of pool4 and pool3, 19, 27 or 31 for the answer of the 32s, 16s and 8s.
The at-once variant scales pool4 by 0.01 and pool3 by 0.0001 before they are scored; its parameters are those of FCN-8s.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

VGG16 = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]


def bilinear_kernel(size):
    """The (size, size) kernel that upsamples bilinearly by size/2; it stands on the diagonal of a deconvolution."""
    factor = (size + 1) // 2
    center = factor - 1 if size % 2 else factor - 0.5
    tent = 1 - (torch.arange(size, dtype=torch.float64) - center).abs() / factor
    return tent[:, None] * tent[None, :]


def bilinear_deconv(classes, size, stride):
    deconv = nn.ConvTranspose2d(classes, classes, size, stride=stride, bias=False)
    with torch.no_grad():
        deconv.weight.zero_()
        if not deconv.weight.is_meta:
            for k in range(classes):
                deconv.weight[k, k] = bilinear_kernel(size)
    return deconv


def crop(x, offset, like):
    return x[:, :, offset:offset + like.shape[2], offset:offset + like.shape[3]]


class Fcn(nn.Module):
    """The VGG-16 trunk with its dense layers as convolutions; subclasses add the way back up."""

    def __init__(self, num_classes=21):
        super().__init__()
        channels = 3
        for block, (width, depth) in enumerate(VGG16, start=1):
            for layer in range(1, depth + 1):
                padding = 100 if (block, layer) == (1, 1) else 1
                self.add_module(f"conv{block}_{layer}", nn.Conv2d(channels, width, 3, padding=padding))
                channels = width
        self.fc6 = nn.Conv2d(512, 4096, 7)
        self.drop6 = nn.Dropout2d()
        self.fc7 = nn.Conv2d(4096, 4096, 1)
        self.drop7 = nn.Dropout2d()
        self.score_fr = nn.Conv2d(4096, num_classes, 1)

    def trunk(self, x):
        """The coarse scores (1/32), pool4 (1/16) and pool3 (1/8)."""
        pools = []
        for block, (_, depth) in enumerate(VGG16, start=1):
            for layer in range(1, depth + 1):
                x = F.relu(getattr(self, f"conv{block}_{layer}")(x))
            x = F.max_pool2d(x, 2, 2, ceil_mode=True)
            pools.append(x)
        x = self.drop6(F.relu(self.fc6(x)))
        x = self.drop7(F.relu(self.fc7(x)))
        return self.score_fr(x), pools[3], pools[2]


class Fcn32s(Fcn):
    def __init__(self, num_classes=21):
        super().__init__(num_classes)
        self.upscore = bilinear_deconv(num_classes, 64, 32)

    def forward(self, x):
        score, _, _ = self.trunk(x)
        return crop(self.upscore(score), 19, x)


class Fcn16s(Fcn):
    def __init__(self, num_classes=21):
        super().__init__(num_classes)
        self.score_pool4 = nn.Conv2d(512, num_classes, 1)
        self.upscore2 = bilinear_deconv(num_classes, 4, 2)
        self.upscore16 = bilinear_deconv(num_classes, 32, 16)

    def forward(self, x):
        score, pool4, _ = self.trunk(x)
        score = self.upscore2(score)
        score = score + crop(self.score_pool4(pool4), 5, score)
        return crop(self.upscore16(score), 27, x)


class Fcn8s(Fcn):
    pool4_scale = 1.0
    pool3_scale = 1.0

    def __init__(self, num_classes=21):
        super().__init__(num_classes)
        self.score_pool3 = nn.Conv2d(256, num_classes, 1)
        self.score_pool4 = nn.Conv2d(512, num_classes, 1)
        self.upscore2 = bilinear_deconv(num_classes, 4, 2)
        self.upscore8 = bilinear_deconv(num_classes, 16, 8)
        self.upscore_pool4 = bilinear_deconv(num_classes, 4, 2)

    def forward(self, x):
        score, pool4, pool3 = self.trunk(x)
        score = self.upscore2(score)
        score = score + crop(self.score_pool4(pool4 * self.pool4_scale), 5, score)
        score = self.upscore_pool4(score)
        score = score + crop(self.score_pool3(pool3 * self.pool3_scale), 9, score)
        return crop(self.upscore8(score), 31, x)


class Fcn8sAtOnce(Fcn8s):
    pool4_scale = 0.01
    pool3_scale = 0.0001
