"""LSTM and GRU over packed sequences, trained."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 12, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(24, 6, batch_first=True)
        self.head = nn.Linear(6, 5)

    def forward(self, words, lengths):
        packed = pack_padded_sequence(self.embed(words), lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.head(self.gru(states)[0])


model = Tagger().to(device)
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-2)
words, lengths = torch.randint(0, 20, (4, 9)), torch.tensor([9, 4, 7, 2])
targets = torch.randint(0, 5, (4, 9)).to(device)
for _ in range(3):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(words.to(device), lengths).transpose(1, 2), targets)
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.4f}")
