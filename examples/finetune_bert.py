"""Fine-tune BERT with Hugging Face's Trainer: which package does this docstring come from?

    python finetune_bert.py --size tiny --steps 100
    python finetune_bert.py --size base --steps 3

Works without network: docstrings of the installed standard library are the data, the WordPiece
vocabulary is trained on them, and the model starts from a random initialisation. With a checkpoint at
hand, replace `BertForSequenceClassification(config)` by `from_pretrained(...)`.
"""

import argparse
import ast
import random
import sysconfig
import tempfile
from pathlib import Path

import numpy as np
import torch
from tokenizers import BertWordPieceTokenizer
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizerFast,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

PACKAGES = ["asyncio", "email", "unittest", "multiprocessing", "importlib", "xml"]

SIZES = {
    "tiny": {
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 512,
    },
    "base": {},  # the defaults of BertConfig are BERT-base
}


def read_docstrings(package):
    """Every docstring of a package of the standard library, in the order of its files."""
    found = []
    for path in sorted((Path(sysconfig.get_paths()["stdlib"]) / package).rglob("*.py")):
        if "test" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8", errors="replace"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                docstring = ast.get_docstring(node)
                if docstring and len(docstring) > 40:
                    found.append(" ".join(docstring.split()))
    return found


def build_tokenizer(texts, vocabulary):
    """Train a WordPiece vocabulary and wrap it as the tokenizer BERT expects."""
    wordpiece = BertWordPieceTokenizer(lowercase=True)
    wordpiece.train_from_iterator(texts, vocab_size=vocabulary, min_frequency=2, show_progress=False)
    return BertTokenizerFast(tokenizer_object=wordpiece._tokenizer, model_max_length=128)


class DocstringDataset(torch.utils.data.Dataset):
    def __init__(self, tokenizer, examples, length):
        texts, self.labels = zip(*examples, strict=True)
        self.encodings = tokenizer(list(texts), truncation=True, max_length=length)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        item = {key: values[index] for key, values in self.encodings.items()}
        return {**item, "labels": self.labels[index]}


def compute_metrics(prediction):
    return {"accuracy": float((np.argmax(prediction.predictions, -1) == prediction.label_ids).mean())}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=64, help="longest sequence, in tokens")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--evaluate", type=int, default=256, help="docstrings to evaluate on")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--output", help="where to keep checkpoints (default: nowhere)")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    examples = [(text, label) for label, name in enumerate(PACKAGES) for text in read_docstrings(name)]
    random.Random(args.seed).shuffle(examples)
    held_out, training = examples[: args.evaluate], examples[args.evaluate :]
    tokenizer = build_tokenizer([text for text, _ in training], vocabulary=8192)

    config = BertConfig(
        vocab_size=len(tokenizer),
        num_labels=len(PACKAGES),
        id2label=dict(enumerate(PACKAGES)),
        label2id={name: label for label, name in enumerate(PACKAGES)},
        pad_token_id=tokenizer.pad_token_id,
        **SIZES[args.size],
    )
    model = BertForSequenceClassification(config)
    print(f"{model.num_parameters() / 1e6:.1f} M parameters, {len(training)} docstrings")

    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=args.output or scratch,
                max_steps=args.steps,
                per_device_train_batch_size=args.batch,
                per_device_eval_batch_size=2 * args.batch,
                learning_rate=args.lr,
                lr_scheduler_type="cosine",
                warmup_steps=max(1, args.steps // 10),
                weight_decay=0.01,
                fp16=torch.cuda.is_available(),
                logging_steps=max(1, args.steps // 10),
                save_strategy="steps" if args.output else "no",
                save_steps=max(1, args.steps // 2),
                report_to="none",
                disable_tqdm=True,
                seed=args.seed,
            ),
            train_dataset=DocstringDataset(tokenizer, training, args.length),
            eval_dataset=DocstringDataset(tokenizer, held_out, args.length),
            processing_class=tokenizer,
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=compute_metrics,
        )
        result = trainer.train()
        metrics = trainer.evaluate()
    print(f"train loss {result.training_loss:.4f}")
    print(f"eval loss {metrics['eval_loss']:.4f}  accuracy {metrics['eval_accuracy']:.4f}")


if __name__ == "__main__":
    main()
