"""Hugging Face Trainer with mixed precision, evaluation and a checkpoint."""

import tempfile

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

torch.manual_seed(0)
cuda = torch.cuda.is_available()
model = BertForSequenceClassification(
    BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
)


class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return {"input_ids": torch.randint(0, 50, (8,), generator=generator), "labels": index % 2}


with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        folder,
        num_train_epochs=1,
        per_device_train_batch_size=4,
        fp16=cuda,
        report_to=[],
        logging_steps=2,
        save_steps=2,
        eval_strategy="epoch",
        disable_tqdm=True,
        seed=1,
        learning_rate=1e-3,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=Data(), eval_dataset=Data())
    result = trainer.train()
    assert next(model.parameters()).is_cuda == cuda
    print(f"loss {result.training_loss:.2f} eval {trainer.evaluate()['eval_loss']:.2f}")
    resumed = Trainer(model=model, args=arguments, train_dataset=Data(), eval_dataset=Data())
    resumed.train(resume_from_checkpoint=f"{folder}/checkpoint-2")
