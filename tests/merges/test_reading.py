"""Any network is read rightly or refused by name, with the place in the user's file; never silently wrong."""

import random
import re
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from merges.graph import TraceError, label, layer
from merges.network import analyse, found
from merges.reading.check import answers_of, worst
from merges.reading.exported import unwrapped
from merges.reading.read import Reading
from tests.merges.awkward import Net, conv
from tests.merges.reading_cases import CASES

SHAPE = (3, 20, 28)


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = CASES[name]()
    for norm in model.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.running_mean is not None:
            assert norm.running_var is not None
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.3, 2)
    return model.eval()


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_network_is_read_and_merged_rightly(name: str) -> None:
    model = built(name)
    images = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1))
    wanted = answers_of(unwrapped(model), images)
    network = analyse(name, model, SHAPE)
    assert worst(answers_of(network.teacher, images), wanted) <= 1e-4
    for site in network.sites:
        for option in site.names[1:]:
            got = answers_of(network.merged({site.id: option}), images)
            assert [g.shape for g in got] == [w.shape for w in wanted]
            assert not site.exact or worst(got, wanted) <= 1e-4, (site.id, option)
    assert worst(answers_of(unwrapped(model), images), wanted) == 0  # the user's network is left as it was


def kinds(network: nn.Module) -> list[str]:
    assert isinstance(network, fx.GraphModule)
    modules = [layer(network, node) for node in network.graph.nodes]
    return [type(module).__name__ for module in modules if module is not None]


def test_activations_and_norms_written_as_arithmetic_are_recognised() -> None:
    assert (
        kinds(analyse("gates", built("gates"), SHAPE).teacher).count("Hardswish") == 0
    )  # of two convolutions
    norm = Net(
        lambda s, x: s.norm(F.relu(s.stem(x))), stem=conv(3, 8), norm=nn.LocalResponseNorm(5, 0.1, 0.75, 2.0)
    )
    body = analyse("lrn", norm, SHAPE).teacher
    assert "FastLocalResponseNorm" in kinds(body)
    swish = Net(lambda s, x: s.stem(x) * torch.sigmoid(s.stem(x)), stem=conv(3, 8))
    assert kinds(analyse("swish", swish, SHAPE).teacher).count("Sigmoid") == 1
    own = Net(lambda s, x: (lambda y: y * (F.relu6(y + 3) / 6))(s.stem(x)), stem=conv(3, 8))
    assert "Hardswish" in kinds(analyse("hardswish", own, SHAPE).teacher)


def test_what_changes_nothing_is_gone() -> None:
    def body(s: nn.Module, x: Tensor) -> Tensor:
        x = s.nothing(F.dropout(s.stem(x), training=s.training).contiguous()).clone()
        return torch.cat(x.chunk(2, 1), 1)

    graph = analyse("nothing", Net(body, stem=conv(3, 8), nothing=nn.Identity()), SHAPE).teacher.graph
    assert [node.op for node in graph.nodes].count("call_function") == 1  # the flattened mean
    assert [node.op for node in graph.nodes].count("call_module") == 3


def test_people_see_their_own_names() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act = conv(8, 8), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.act(self.conv(x)) + F.relu(x)

    net = Net(lambda s, x: s.b(s.a(s.stem(x))), stem=conv(3, 8), a=Block(), b=Block())
    labels = [label(node) for node in analyse("blocks", net, SHAPE).teacher.graph.nodes]
    assert {"stem", "a.conv", "a.act", "a.relu", "a.add", "b.conv", "head"} <= set(labels)
    assert len(set(labels)) == len(labels)


def test_a_layer_that_is_called_twice_is_seen_as_shared() -> None:
    net = Net(lambda s, x: F.relu(s.one(F.relu(s.one(s.stem(x))))), stem=conv(3, 8), one=conv(8, 8))
    again = Net(
        lambda s, x: s.two(s.one(s.stem(x))), stem=conv(3, 8), one=conv(8, 8), two=conv(8, 8, padding=2)
    )
    again.get_submodule("two").weight = again.get_submodule("one").weight  # tied, with other padding
    for model in (net, again):
        network = analyse("shared", model, SHAPE)
        assert any("shared" in refusal.reason for refusal in network.refused)
        assert not any(label.startswith(("one", "two")) for site in network.sites for label in site.labels)


class Waves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft(self.stem(x)).real.mean((2, 3))


def refusal(forward: object, **parts: nn.Module) -> str:
    with pytest.raises(TraceError) as caught:
        analyse("net", Net(forward, **parts).eval(), SHAPE)  # type: ignore[arg-type]
    return str(caught.value)


def test_a_refusal_names_the_operation_and_the_place(capfd: pytest.CaptureFixture[str]) -> None:
    words = refusal(lambda s, x: s.stem(x) if x.sum() > 0 else s.stem(-x), stem=conv(3, 8))
    assert re.search(r"test_reading\.py:\d+: its forward method depends on values", words)
    with pytest.raises(TraceError, match=r"fft_\w+ .*test_reading\.py:\d+.*not among the operations"):
        analyse("waves", Waves(), SHAPE)
    unpooled = refusal(
        lambda s, x: F.max_unpool2d(*F.max_pool2d(s.stem(x), 2, return_indices=True), 2), stem=conv(3, 8)
    )
    assert "reads an answer of max_pool2d_with_indices that is not supported" in unpooled
    assert capfd.readouterr().err == ""  # torch dumps the whole graph


def test_answers_that_mix_the_images_of_a_batch_are_refused() -> None:
    assert "mixes the images" in refusal(
        lambda s, x: s.stem(x) - s.stem(x).mean(0, keepdim=True), stem=conv(3, 8)
    )
    assert "number of images" in refusal(lambda s, x: s.stem(x) / x.shape[0], stem=conv(3, 8))
    assert "images of a batch" in refusal(lambda s, x: s.stem(x).flip(0), stem=conv(3, 8))


class Record(NamedTuple):
    scores: Tensor
    maps: Tensor
    nothing: None = None


def test_answers_in_any_container() -> None:
    containers: list[Callable[[Tensor], object]] = [
        lambda x: (x.mean((2, 3)), None, 3),
        lambda x: {"maps": x, "more": [x.mean((2, 3)), (x + 1,)]},
        lambda x: Record(x.mean((2, 3)), x),
    ]
    images = torch.randn(2, *SHAPE)
    for pack in containers:
        net = Net(lambda s, x: x, stem=conv(3, 8))
        net.forward = lambda x, net=net, pack=pack: pack(F.relu(net.stem(x)))  # type: ignore[method-assign]
        network = analyse("packed", net, SHAPE)
        assert worst(answers_of(network.teacher, images), answers_of(net, images)) <= 1e-5
    net.forward = lambda x: torch.ones(2)  # type: ignore[method-assign]
    with pytest.raises(TraceError, match="does not depend on the image"):
        analyse("constant", net, SHAPE)


def test_a_network_that_changes_itself_is_refused() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = conv(3, 8)
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.seen += 1
            return self.stem(x).mean((2, 3))

    with pytest.raises(TraceError, match="own buffer 'seen'"):
        analyse("counting", Counting(), SHAPE)


def test_answers_that_do_not_depend_on_the_image_alone_are_refused() -> None:
    class Odd(nn.Module):
        def __init__(self, kind: str) -> None:
            super().__init__()
            self.stem, self.kind, self.calls = conv(3, 8), kind, 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += self.kind == "counts"
            y: Tensor = self.stem(x).mean((2, 3))
            y = y * 2 if self.kind == "asks" and x.shape[0] % 2 == 0 else y
            return y if self.kind != "draws" or random.random() < 2 else -y

    for kind, words in (
        ("asks", "how many images"),
        ("counts", "changes itself"),
        ("draws", "random numbers"),
    ):
        with pytest.raises(TraceError, match=words):
            analyse(kind, Odd(kind), SHAPE)


def test_a_network_is_not_blamed_for_random_numbers_that_others_draw() -> None:
    """A worker's connections draw some in a thread of their own."""
    calls = []

    def stirred(self: Net, x: Tensor) -> Tensor:
        calls.append(x)
        if len(calls) == 2:  # export is the first
            random.random()
        return self.stem(x)  # type: ignore[operator]

    analyse("stirred", Net(stirred, stem=conv(3, 8)), SHAPE)
    assert len(calls) > 3


def test_what_is_no_network_of_single_precision_is_refused() -> None:
    for model, shape, words in (
        (conv(3, 8).half(), SHAPE, "float16; expected float32"),
        (F.relu, SHAPE, "expected a torch.nn.Module"),
        (torch.jit.trace(conv(3, 8), torch.zeros(1, *SHAPE)), SHAPE, "TorchScript module; expected"),
        (conv(3, 8), (3, 0, 8), "cannot take images of"),
    ):
        with pytest.raises(TraceError, match=words):
            analyse("odd", model, shape)  # type: ignore[arg-type]


def test_values_that_are_not_finite_are_refused() -> None:
    net = Net(lambda s, x: s.stem(x), stem=conv(3, 8))
    net.head.bias.data[0] = float("nan")
    with pytest.raises(TraceError, match="not finite"):
        analyse("nan", net, SHAPE)


def test_a_wrong_reading_is_noticed_and_the_first_layer_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from merges.reading.builder import HANDLERS

    monkeypatch.setitem(HANDLERS, "relu.default", lambda b, self: b.layer(nn.LeakyReLU(0.5), self))
    with pytest.raises(TraceError, match=r"read wrongly: answers differ by .* first at relu"):
        analyse("wrong", Net(lambda s, x: F.relu(s.stem(x)), stem=conv(3, 8)), SHAPE)


def test_rounding_is_told_from_a_fault() -> None:
    """Answers that cancel out to a millionth differ in single precision, and agree in double."""
    net = nn.Sequential(conv(3, 8), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    torch.manual_seed(0)
    net[0].weight.data.mul_(1e-4)
    net[0].bias.data.fill_(1000.0)
    net[1].running_mean.fill_(1000.0)
    net[1].running_var.fill_(1e-8)
    network = analyse("cancels", net, SHAPE)
    assert any("rounds" in remark for remark in network.remarks)


def test_rounding_is_told_from_a_fault_where_a_network_magnifies_it() -> None:
    """A quadratic map, iterated: single precision forgets where it began, double keeps seven digits."""

    def answer(net: Net, x: Tensor) -> Tensor:
        maps = torch.sigmoid(net.stem(x) + net.fc(x.new_zeros(1, 4)).view(1, 8, 1, 1))
        for _ in range(30):
            maps = 4 * maps * (1 - maps)
        return maps

    torch.manual_seed(0)
    net = Net(answer, stem=conv(3, 8), fc=nn.Linear(4, 8))
    assert any("rounds" in remark for remark in analyse("magnifies", net, SHAPE).remarks)


def test_weights_that_are_learned_after_reading_count() -> None:
    net = Net(lambda s, x: F.relu(s.bn(s.stem(x))), stem=conv(3, 8), bn=nn.BatchNorm2d(8)).train()
    reading = Reading.of("net", net, SHAPE)
    images = torch.randn(4, *SHAPE)
    before = answers_of(found(reading).teacher, images)
    net(images).sum().backward()
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    after = answers_of(found(reading).teacher, images)
    assert worst(after, before) > 1e-3
    assert worst(after, answers_of(net, images)) <= 1e-5


def test_reading_leaves_training_mode_and_weights_alone() -> None:
    net = Net(lambda s, x: F.dropout(F.relu(s.stem(x)), training=s.training), stem=conv(3, 8)).train()
    net.head.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    analyse("net", net, SHAPE)
    assert net.training and net.stem.training and not net.head.training  # type: ignore[union-attr]
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("channels", [1, 5])
def test_images_of_any_number_of_channels_and_any_sides(channels: int) -> None:
    net = Net(lambda s, x: F.relu(s.stem(x)), stem=conv(channels, 8))
    network = analyse("odd", net, (channels, 17, 40))
    assert network.input_shape == (channels, 17, 40)
    assert network.outputs == {"scores": (1, 5)}


def test_a_softmax_at_the_end_can_be_left_off() -> None:
    net = nn.Sequential(
        conv(3, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5), nn.Softmax(1)
    ).eval()
    network = analyse("soft", net, SHAPE)
    assert network.without_softmax().remarks == (
        "the softmax at the end of soft is left off until the export",
    )
    images = torch.randn(2, *SHAPE)
    with torch.no_grad():
        scores = network.without_softmax().teacher(images)
        assert torch.allclose(scores.softmax(1), net(images), atol=1e-6)
        whole = network.without_softmax().ended(network.without_softmax().teacher)
        assert torch.allclose(whole(images), net(images), atol=1e-6)
