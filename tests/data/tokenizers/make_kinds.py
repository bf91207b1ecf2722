"""Makes small tokenizers of the kinds of Llama 2, Mixtral, BERT and RoBERTa, and what Hugging Face tokenizers makes of texts with them.

    python3 tests/data/tokenizers/make_kinds.py TEXT FOLDER      # TEXT: what to train on; FOLDER: tests/data/tokenizers
"""
import json
import pathlib
import random
import struct
import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

text, folder = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"), pathlib.Path(sys.argv[2])
LINES = text.splitlines()[:2000] + ["caf\u00e9 na\u00efve \u00fcber \u4f60\u597d \u4e16\u754c \u043f\u0440\u0438\u0432\u0435\u0442"] * 50
TEXTS = [
    "", " ", "In the beginning God created the heaven and the earth.", " a leading space", "  two of them", "trailing  ", "many     spaces\tand\ttabs",
    "lines\n\nand\r\nmore\n", "caf\u00e9 cafe\u0301 \u00c5ngstr\u00f6m NA\u00cfVE \u0130stanbul \u00df \u1e9e", "\u4f60\u597d\uff0c\u4e16\u754c! \u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8 \ud55c\uad6d\uc5b4",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea", "\x00\x01\x1b control \x7f\u200b\ufeff\u00ad", "\u041f\u0440\u0438\u0432\u0435\u0442 \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u0939\u093f\u0928\u094d\u0926\u0940",
    "1234567890 3.14 $5,000.00 -17", "don't I'LL we've 'quoted' \u201cquotes\u201d (a) [b] {c} <d>", "<s> in </s>the<unk> middle</s></s>", "[CLS] and [MASK]. [SEP][PAD] [UNK] [mask]",
    "a <mask> b<mask>c  <mask>", "\u2581already\u2581marked", "<0x0A><0xE4>", "\U0001d400\U0001d7d9 \U00010400 \U00020000", "x" * 150, "\ufffd\u2028\u2029\u3000\u00a0\u2003end",
    "thethethe unbelievableness", "\u0301 starts with a mark", "!?.,;:-_#@&*+=/\\|~^`%", "\uff21\uff22\uff23 \ufb01 \u2460 \u00bd",
]
random.seed(7)
ALPHABET = [*"abcdefghij THE.,'!\n\t ", "\u00e9", "e\u0301", "\u4f60", "\U0001f600", "\u2581", "\u00c4", "\u0439", "\uac00", "##", "<s>", "[SEP]", "<mask>", "  ", "\x0b", "\u00a0", "\u1f80", "\u2167", "\U00010428"]
TEXTS += ["".join(random.choices(ALPHABET, k=random.randint(1, 40))) for _ in range(60)]


def save(name, tokenizer):
    target = folder / name
    target.mkdir(exist_ok=True)
    tokenizer.save(str(target / "tokenizer.json"), pretty=False)
    tokenizer = Tokenizer.from_file(str(target / "tokenizer.json"))
    encodings = []
    for each in TEXTS:
        ids = tokenizer.encode(each).ids
        encodings.append({"text": each, "ids": ids, "plain": tokenizer.encode(each, add_special_tokens=False).ids,
                          "decoded": tokenizer.decode(ids, skip_special_tokens=False), "skipped": tokenizer.decode(ids, skip_special_tokens=True)})
    # Tokens that no text leads to, in any order.
    for _ in range(20):
        ids = random.choices(range(tokenizer.get_vocab_size()), k=12)
        encodings.append({"ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False), "skipped": tokenizer.decode(ids, skip_special_tokens=True)})
    (target / "encodings.json").write_text("[\n" + ",\n".join(json.dumps(each) for each in encodings) + "\n]\n")


def template(tokenizer, begin, end=None):
    names = [name for name in (begin, end) if name]
    return processors.TemplateProcessing(single=" ".join([begin, "$A", *([end] if end else [])]), special_tokens=[(name, tokenizer.token_to_id(name)) for name in names])


def varint(value):
    encoded = b""
    while value > 0x7F:
        encoded, value = encoded + bytes([value & 0x7F | 0x80]), value >> 7
    return encoded + bytes([value])


def field(number, value):
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def sentence_piece(vocabulary, kinds, scores):
    """A message ModelProto: pieces, how they were trained, and that texts are taken as they are."""
    pieces = b"".join(field(1, field(1, token.encode()) + field(2, scores[token]) + field(3, kinds.get(token, 1))) for token in vocabulary)
    return pieces + field(2, field(3, 2) + field(35, 1)) + field(3, field(1, b"identity") + field(3, 1) + field(4, 0) + field(5, 1))


# Llama 2: every pair of tokens that makes a token is a merge, as in what transformers makes of a model of SentencePiece.
special, raw = ["<unk>", "<s>", "</s>"], [f"<0x{value:02X}>" for value in range(256)]
trained = Tokenizer(models.BPE())
trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
trained.train_from_iterator(LINES, trainers.BpeTrainer(vocab_size=700, show_progress=False))
learned = [pair for pair in json.loads(trained.to_str())["model"]["merges"]]
words = list(dict.fromkeys("".join(pair) for pair in learned))
letters = sorted(token for token in trained.get_vocab() if len(token) == 1)
vocabulary = special + raw + words + letters
kinds = {"<unk>": 2, "<s>": 3, "</s>": 3, **{token: 6 for token in raw}}
scores = {token: 0.0 for token in vocabulary} | {token: float(-rank) for rank, token in enumerate(words)} | {token: float(-len(words) - rank) for rank, token in enumerate(letters)}
normal = set(words + letters)
merges = [(word[:cut], word[cut:]) for word in words for cut in range(len(word) - 1, 0, -1) if word[:cut] in normal and word[cut:] in normal]
ids = {token: number for number, token in enumerate(vocabulary)}


def pieces():
    tokenizer = Tokenizer(models.BPE(ids, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer


llama = pieces()
llama.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
llama.post_processor = template(llama, "<s>")
save("llama2", llama)
(folder / "llama2" / "tokenizer.model").write_bytes(sentence_piece(vocabulary, kinds, scores))

# Mixtral's files of transformers 5, and one that splits words.
mixtral = pieces()
mixtral.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
mixtral.post_processor = template(mixtral, "<s>", "</s>")
save("metaspace_first", mixtral)
always = pieces()
always.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
save("metaspace_always", always)

for name, lower in (("bert", True), ("bert_cased", False)):
    bert = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    bert.normalizer = normalizers.BertNormalizer(lowercase=lower)
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    bert.decoder = decoders.WordPiece(prefix="##", cleanup=lower)
    bert.train_from_iterator(LINES, trainers.WordPieceTrainer(
        vocab_size=500, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], continuing_subword_prefix="##", show_progress=False))
    bert.post_processor = template(bert, "[CLS]", "[SEP]") if lower else processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    save(name, bert)
    tokens = sorted(bert.get_vocab().items(), key=lambda token: token[1])
    (folder / name / "vocab.txt").write_text("".join(f"{token}\n" for token, _ in tokens), encoding="utf-8")
(folder / "bert_cased" / "tokenizer_config.json").write_text('{"do_lower_case": false}\n')

roberta = Tokenizer(models.BPE())
roberta.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
roberta.decoder = decoders.ByteLevel()
tokens = ["<s>", "<pad>", "</s>", "<unk>"]
roberta.train_from_iterator(LINES, trainers.BpeTrainer(
    vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=[*tokens, "<mask>"], show_progress=False))
content = json.loads(roberta.to_str())
for token in content["added_tokens"]:
    token["lstrip"] = token["content"] == "<mask>"
    token["normalized"] = token["content"] != "<mask>"
roberta = Tokenizer.from_str(json.dumps(content))
roberta.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
save("roberta", roberta)
(folder / "roberta" / "vocab.json").write_text(json.dumps(content["model"]["vocab"]))
(folder / "roberta" / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{' '.join(pair)}\n" for pair in content["model"]["merges"]), encoding="utf-8")
