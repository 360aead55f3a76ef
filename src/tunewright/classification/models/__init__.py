"""ColorNet-V1 and timm backbones, their heads and pretrained weights."""
