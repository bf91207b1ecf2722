"""Makes the small model of this sample: a Llama of 0.7 million parameters that has read Genesis to Ruth, and not the books of Samuel.

    python3 samples/FineTune/make_model.py samples/TrainGpt/data samples/FineTune/model

It takes PyTorch, transformers and some minutes of one core.
"""
import pathlib
import sys

import tokenizers
import torch
import transformers

STEPS, BATCH, SEQUENCE = 800, 16, 96
FIRST_OF_SAMUEL = "Now there was a certain man of Ramathaimzophim"


def make_tokenizer(data):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(str(data / "vocab.json"), str(data / "merges.txt")))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def main(data, folder):
    torch.manual_seed(1)
    torch.set_num_threads(1)
    tokenizer = make_tokenizer(data)
    text = (data / "genesis-to-samuel.txt").read_text()
    tokens = torch.tensor(tokenizer.encode(text[:text.index(FIRST_OF_SAMUEL)]).ids)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=96, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0, pad_token_id=None))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=STEPS)
    for step in range(STEPS):
        starts = torch.randint(len(tokens) - SEQUENCE, (BATCH,))
        batch = torch.stack([tokens[start:start + SEQUENCE] for start in starts])
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == STEPS - 1:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>").save_pretrained(folder)


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
