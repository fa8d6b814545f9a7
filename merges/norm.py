"""Local response norm that is quick on a CPU (PyTorch's own takes several times longer)."""

from torch import Tensor, nn


class FastLocalResponseNorm(nn.LocalResponseNorm):
    """The same function and options: ``x / (k + alpha / size * sum of squares nearby) ** beta``."""

    @classmethod
    def like(cls, norm: nn.LocalResponseNorm) -> "FastLocalResponseNorm":
        return cls(norm.size, norm.alpha, norm.beta, norm.k)

    def forward(self, input: Tensor) -> Tensor:
        squares = input.square()
        before, after = self.size // 2, (self.size - 1) // 2
        nearby = nn.functional.pad(squares, (0, 0, 0, 0, before, after))
        channels = input.shape[1]
        total = nearby[:, :channels].clone()
        for shift in range(1, self.size):
            total += nearby[:, shift : shift + channels]
        scale = total.mul_(self.alpha / self.size).add_(self.k)
        if self.beta == 0.75:
            root = scale.sqrt()
            return input / (root * root.sqrt())
        return input / scale.pow(self.beta)
