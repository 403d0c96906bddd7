"""A small convolutional network with batch normalisation, channels_last and evaluation."""

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
torch.backends.cudnn.benchmark = True
torch.backends.cuda.matmul.allow_tf32 = True


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, groups=2)
        self.up = nn.ConvTranspose2d(16, 4, 2)
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv1(x))), 2)
        x = F.silu(self.up(self.conv2(x)))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


model = Net().to(device, memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
images, labels = torch.randn(8, 1, 16, 16), torch.randint(0, 10, (8,))
for step in range(3):
    out = model(images.to(device).contiguous(memory_format=torch.channels_last))
    loss = F.cross_entropy(out, labels.to(device), label_smoothing=0.1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step {step} {loss.item():.4f}")
model.eval()
with torch.no_grad():
    correct = (model(images.to(device)).argmax(1).cpu() == labels).sum().item()
print("correct", correct)
if torch.cuda.is_available():
    assert torch.cuda.max_memory_allocated() > 0
