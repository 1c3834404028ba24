"""The networks that neither torchvision nor timm publishes, in plain PyTorch, and Keras' variants of two that they do."""

import timm
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision
from torchvision.models.googlenet import GoogLeNet, Inception, InceptionAux


class LeNet5(nn.Module):
    """LeNet-5 as it is taught: dense C3, average pools without weights, tanh, a linear classifier."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x):
        x = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        x = F.avg_pool2d(torch.tanh(self.conv2(x)), 2)
        x = torch.tanh(self.fc1(x.flatten(1)))
        x = torch.tanh(self.fc2(x))
        return self.fc3(x)


class CifarBlock(nn.Module):
    """Two 3x3 convolutions; the shortcut (option A) has no weights: every second pixel, and channels of zeros after
    the carried ones."""

    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride = stride
        self.new_channels = width - channels

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, 0, self.new_channels))
        return F.relu(y + shortcut)


class CifarResNet(nn.Module):
    """He et al. 2015, section 4.2: 6n+2 layers of widths 16, 32 and 64."""

    def __init__(self, depth, num_classes=10):
        super().__init__()
        units = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        channels = 16
        for stage, width in enumerate([16, 32, 64], start=1):
            blocks = []
            for unit in range(units):
                stride = 2 if stage > 1 and unit == 0 else 1
                blocks.append(CifarBlock(channels, width, stride))
                channels = width
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(64, num_classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class AlexNetPaper(nn.Module):
    """Krizhevsky et al. 2012: two groups in conv2, conv4 and conv5, local response normalisation, overlapping pools.

    The normaliser is the printed formula, (2 + 1e-4 * sum of squares over 5 channels) ** 0.75. PyTorch divides its
    `alpha` by the number of channels, hence 5e-4 here.
    """

    def __init__(self, num_classes=1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc6 = nn.Linear(256 * 6 * 6, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, num_classes)
        self.norm = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
        self.pool = nn.MaxPool2d(3, stride=2)
        self.dropout = nn.Dropout(0.5)

    def features(self, x):
        """What `pool5` gives, for a picture of any size; the linear layers take one size only."""
        x = self.pool(self.norm(F.relu(self.conv1(x))))
        x = self.pool(self.norm(F.relu(self.conv2(x))))
        x = F.relu(self.conv3(x))
        x = F.relu(self.conv4(x))
        return self.pool(F.relu(self.conv5(x)))

    def forward(self, x):
        x = self.dropout(F.relu(self.fc6(self.features(x).flatten(1))))
        x = self.dropout(F.relu(self.fc7(x)))
        return self.fc8(x)


class ConvRelu(nn.Module):
    """The paper's convolution: a bias, no batch norm."""

    def __init__(self, in_channels, out_channels, **kwargs):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, **kwargs)

    def forward(self, x):
        return F.relu(self.conv(x))


class InceptionPaper(Inception):
    """The module of figure 2(b), with the true 5x5."""

    def __init__(self, channels, ch1, ch3_reduce, ch3, ch5_reduce, ch5, pool, conv_block=ConvRelu):
        super().__init__(channels, ch1, ch3_reduce, ch3, ch5_reduce, ch5, pool, conv_block)
        self.branch3[1] = conv_block(ch5_reduce, ch5, kernel_size=5, padding=2)


class AuxPaper(InceptionAux):
    """An auxiliary classifier behind the paper's 5x5/3 average pool (a 14x14 map becomes 4x4)."""

    def __init__(self, channels, num_classes, conv_block=ConvRelu, dropout=0.7):
        super().__init__(channels, num_classes, conv_block, dropout)

    def forward(self, x):
        x = self.conv(F.avg_pool2d(x, 5, 3)).flatten(1)
        x = self.dropout(F.relu(self.fc1(x)))
        return self.fc2(x)


class GoogLeNetPaper(GoogLeNet):
    """Szegedy et al. 2014 under torchvision's names: 5x5 branches, biases, local response normalisation after the
    first pool and before the second, 3x3/2 pools that round up.

    The paper gives the normaliser no constants. These are the authors' Caffe reproduction's: 5 channels, beta 0.75,
    k 1 and alpha 1e-4, which Caffe, like PyTorch, divides by the 5: 2e-5 times the sum of squares.
    """

    def __init__(self, num_classes=1000):
        blocks = [ConvRelu, InceptionPaper, AuxPaper]
        super().__init__(num_classes, aux_logits=True, init_weights=False, blocks=blocks, dropout=0.4)
        self.maxpool4 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
        self.maxpool1 = nn.Sequential(self.maxpool1, norm)
        self.maxpool2 = nn.Sequential(norm, self.maxpool2)


def same_padding(size, kernel, stride):
    """TensorFlow's "same" along one axis: (before, after), the odd one after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(x, kernel, stride, value=0.0):
    top, bottom = same_padding(x.shape[2], kernel, stride)
    left, right = same_padding(x.shape[3], kernel, stride)
    return F.pad(x, (left, right, top, bottom), value=value)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow pads; made from an existing one, it keeps that one's weights and names."""

    @classmethod
    def adopt(cls, conv):
        conv.__class__ = cls
        conv.padding = (0, 0)

    def forward(self, x):
        return super().forward(pad_same(x, self.kernel_size[0], self.stride[0]))


class SameMaxPool2d(nn.MaxPool2d):
    """A max pool padded as TensorFlow pads."""

    def forward(self, x):
        x = pad_same(x, self.kernel_size, self.stride, value=float("-inf"))
        return F.max_pool2d(x, self.kernel_size, self.stride)


def keras_batch_norm(net):
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    return net


def xception_keras():
    """What Keras computes, under timm's names: "same" max pools (on an even size padded right and bottom alone)."""
    net = timm.create_model("legacy_xception")
    for block in [net.block1, net.block2, net.block3, net.block12]:
        block.rep[-1] = SameMaxPool2d(3, stride=2)
    return keras_batch_norm(net)


def mobilenet_v2_keras():
    """What Keras computes, under torchvision's names: the strided 3x3 convolutions are padded "same"."""
    net = torchvision.models.mobilenet_v2()
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            SameConv2d.adopt(module)
    return keras_batch_norm(net)


def resnet50_v1():
    """ResNet-50 as the paper has it: a stage's stride in the first 1x1, not in the 3x3."""
    net = torchvision.models.resnet50()
    for stage in [net.layer2, net.layer3, net.layer4]:
        stage[0].conv1.stride, stage[0].conv2.stride = stage[0].conv2.stride, stage[0].conv1.stride
    return net
