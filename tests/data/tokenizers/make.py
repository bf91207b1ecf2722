"""Makes llama3.json, a small tokenizer of the kind of Llama 3's, and llama3_encodings.json with what Hugging Face tokenizers makes of texts.

    python3 tests/data/tokenizers/make.py FOLDER
"""
import json
import pathlib
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEXTS = ["In the beginning God created the heaven and the earth.", "a zebra, 12345 zebras\r\n\n  and\tmore", "caf\u00e9 \u201cna\u00efve\u201d \U0001f600 \u4f60\u597d",
         "It's HE'LL <|stop|>the<|stop|>", ""]

folder = pathlib.Path(sys.argv[1])
tokenizer = Tokenizer(models.BPE())
tokenizer.normalizer = normalizers.NFC()
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
tokenizer.decoder = decoders.ByteLevel()
tokenizer.train_from_iterator(
    [TEXTS[0]] * 20 + ["and more of the earth and the heaven"] * 10,
    trainers.BpeTrainer(vocab_size=290, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|begin|>"]))

# A word that no merges lead to, which is a token all the same.
content = json.loads(tokenizer.to_str())
content["model"]["ignore_merges"] = True
content["model"]["vocab"]["\u0120zebra"] = max(content["model"]["vocab"].values()) + 1
tokenizer = Tokenizer.from_str(json.dumps(content))
tokenizer.add_tokens([AddedToken("<|stop|>", special=True)])
tokenizer.post_processor = processors.Sequence([
    processors.ByteLevel(trim_offsets=False),
    processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", tokenizer.token_to_id("<|begin|>"))])])
tokenizer.save(str(folder / "llama3.json"))
encodings = [{"text": text, "ids": tokenizer.encode(text).ids} for text in TEXTS]
(folder / "llama3_encodings.json").write_text(json.dumps(encodings, indent=1) + "\n")
