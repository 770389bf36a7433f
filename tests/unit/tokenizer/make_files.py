#!/usr/bin/env python3
# make_files.py DATA OUT - writes the recorded vocabularies in every form that users have them in, by its own reading of the formats.
#
# DATA/NAME.gguf or NAME.gguf.xz becomes OUT/NAME/vocabulary.gguf and tokenizer.json; SentencePiece ones also tokenizer.model, and
# tokenizer.json in the two forms that are in use. Llama 3 becomes OUT/published/vocabulary.gguf too: the keys of the published
# BitNet b1.58 2B-4T file, which lacks the pre-tokenizer and the end of turn. Python 3 alone.
import json, lzma, os, struct, sys

NUMBERS = {0: 'B', 1: 'b', 2: 'H', 3: 'h', 4: 'I', 5: 'i', 6: 'f', 7: '?', 10: 'Q', 11: 'q', 12: 'd'}
LLAMA_3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
           r"\s*[\r\n]+|\s+(?!\S)|\s+")


# --- GGUF

def read_gguf(data):
    at = 24

    def number(code):
        nonlocal at
        value = struct.unpack_from('<' + code, data, at)[0]
        at += struct.calcsize(code)
        return value

    def text():
        nonlocal at
        n = number('Q')
        at += n
        return data[at - n:at].decode()

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            kind, n = number('I'), number('Q')
            return [value(kind) for _ in range(n)]
        return number(NUMBERS[kind])

    keys = {}
    for _ in range(struct.unpack_from('<Q', data, 16)[0]):
        name = text()
        keys[name] = value(number('I'))
    return {name.replace('tokenizer.ggml.', ''): value for name, value in keys.items()}


def write_gguf(path, keys):
    out = bytearray(b'GGUF' + struct.pack('<IQQ', 3, 0, len(keys)))

    def text(value):
        value = value.encode()
        return struct.pack('<Q', len(value)) + value

    for name, (kind, value) in keys.items():
        out += text(name)
        if isinstance(value, list):
            out += struct.pack('<IIQ', 9, kind, len(value))
            out += b''.join(map(text, value)) if kind == 8 else struct.pack('<%d%s' % (len(value), NUMBERS[kind]), *value)
        else:
            out += struct.pack('<I', kind) + (text(value) if kind == 8 else struct.pack('<' + NUMBERS[kind], value))
    open(path, 'wb').write(out)


def write_published(path, v):
    tokens, types = v['tokens'], v['token_type']
    a, t = 'bitnet-b1.58.', 'tokenizer.ggml.'
    write_gguf(path, {
        'general.architecture': (8, 'bitnet-b1.58'), 'general.name': (8, 'bitnet2b'), a + 'vocab_size': (4, 128256),
        a + 'context_length': (4, 4096), a + 'embedding_length': (4, 2560), a + 'block_count': (4, 30),
        a + 'feed_forward_length': (4, 6912), a + 'rope.dimension_count': (4, 128), a + 'attention.head_count': (4, 20),
        a + 'attention.head_count_kv': (4, 5), t + 'add_bos_token': (7, True),
        a + 'attention.layer_norm_rms_epsilon': (6, 1e-5), a + 'rope.freq_base': (6, 500000.0), 'general.file_type': (4, 40),
        t + 'model': (8, 'gpt2'), t + 'tokens': (8, tokens), t + 'scores': (6, [-1000.0 if k == 3 else 0.0 for k in types]),
        t + 'token_type': (5, types), t + 'merges': (8, v['merges']), t + 'bos_token_id': (4, 128000),
        t + 'eos_token_id': (4, 128001), t + 'padding_token_id': (4, 128001),
        'tokenizer.chat_template': (8, '{% for message in messages %}{{ message.content }}{% endfor %}'),
        'general.quantization_version': (4, 2)})


# --- tokenizer.json

def added_tokens(v):
    return [{'id': i, 'content': text, 'single_word': False, 'lstrip': False, 'rstrip': False, 'normalized': False,
             'special': kind != 4}
            for i, (text, kind) in enumerate(zip(v['tokens'], v['token_type'])) if kind in (2, 3, 4)]


def template(v):
    if not v.get('add_bos_token'):
        return None
    bos = v['tokens'][v['bos_token_id']]
    single = [{'SpecialToken': {'id': bos, 'type_id': 0}}, {'Sequence': {'id': 'A', 'type_id': 0}}]
    return {'type': 'TemplateProcessing', 'single': single, 'pair': [],
            'special_tokens': {bos: {'id': bos, 'ids': [v['bos_token_id']], 'tokens': [bos]}}}


def write_json(path, v, model, **parts):
    file = {'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': added_tokens(v), 'normalizer': None,
            'pre_tokenizer': None, 'post_processor': None, 'decoder': None, 'model': model}
    os.makedirs(os.path.dirname(path), exist_ok=True)
    json.dump({**file, **parts}, open(path, 'w', encoding='utf-8'), ensure_ascii=False)


def split(expression, behavior='Isolated', invert=False):
    return {'type': 'Split', 'pattern': {'Regex': expression}, 'behavior': behavior, 'invert': invert}


def byte_level(use_regex):
    return {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True, 'use_regex': use_regex}


def sequence(*parts):
    return {'type': 'Sequence', 'pretokenizers': list(parts)}


PRE_TOKENIZERS = {
    'llama-bpe': sequence(split(LLAMA_3), byte_level(False)),
    'gpt-2': byte_level(True),
    'falcon': sequence({'type': 'Punctuation', 'behavior': 'Contiguous'}, byte_level(True), split('[0-9][0-9][0-9]')),
    'deepseek-llm': sequence(split('[\r\n]'), {'type': 'Digits', 'individual_digits': True}, byte_level(False)),
}


def write_byte_level(path, v):
    special = {2, 3, 4}
    merges = v['merges']
    if v['pre'] == 'llama-bpe':  # newer files write pairs
        merges = [[m[:m.index(' ', 1)], m[m.index(' ', 1) + 1:]] for m in merges]
    model = {'type': 'BPE', 'dropout': None, 'unk_token': None, 'continuing_subword_prefix': None, 'end_of_word_suffix': None,
             'fuse_unk': False, 'byte_fallback': False, 'ignore_merges': v['pre'] == 'llama-bpe',
             'vocab': {t: i for i, (t, k) in enumerate(zip(v['tokens'], v['token_type'])) if k not in special},
             'merges': merges}
    write_json(path, v, model, pre_tokenizer=PRE_TOKENIZERS[v['pre']], decoder=byte_level(True),
               post_processor={'type': 'Sequence', 'processors': [p for p in (byte_level(True), template(v)) if p]})


def merges_of_scores(v):
    vocab = {t: i for i, t in enumerate(v['tokens'])}
    merges = []
    for text, score in zip(v['tokens'], v['scores']):
        splits = [(text[:i], text[i:]) for i in range(1, len(text)) if text[:i] in vocab and text[i:] in vocab]
        splits.sort(key=lambda s: (vocab[s[0]], vocab[s[1]]))
        merges += [(left, right, score) for left, right in splits]
    merges.sort(key=lambda m: (m[2], len(m[0]), len(m[1])), reverse=True)
    return [m[0] + ' ' + m[1] for m in merges]


def write_characters(folder, v):
    mark = '\u2581'
    model = {'type': 'BPE', 'dropout': None, 'unk_token': '<unk>', 'continuing_subword_prefix': None, 'end_of_word_suffix': None,
             'fuse_unk': True, 'byte_fallback': True, 'ignore_merges': False,
             'vocab': {t: i for i, t in enumerate(v['tokens'])}, 'merges': merges_of_scores(v)}
    decoder = {'type': 'Sequence', 'decoders': [{'type': 'Replace', 'pattern': {'String': mark}, 'content': ' '},
                                                {'type': 'ByteFallback'}, {'type': 'Fuse'},
                                                {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}]}
    normalizers = [{'type': 'Prepend', 'prepend': mark}, {'type': 'Replace', 'pattern': {'String': ' '}, 'content': mark}]
    write_json(folder + '/tokenizer.json', v, model, decoder=decoder, post_processor=template(v),
               normalizer={'type': 'Sequence', 'normalizers': normalizers})
    write_json(folder + '/metaspace/tokenizer.json', v, model, decoder=decoder, post_processor=template(v),
               pre_tokenizer={'type': 'Metaspace', 'replacement': mark, 'prepend_scheme': 'first', 'split': False})
    gemma = {'type': 'Split', 'pattern': {'String': ' '}, 'behavior': 'MergedWithPrevious', 'invert': False}
    write_json(folder + '/no_prefix/tokenizer.json', v, model, decoder=decoder, post_processor=template(v),
               normalizer=normalizers[1], pre_tokenizer=gemma)


# --- tokenizer.model

def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def delimited(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def write_sentencepiece(path, v):
    out = b''
    for text, score, kind in zip(v['tokens'], v['scores'], v['token_type']):
        piece = delimited(1, text.encode()) + b'\x15' + struct.pack('<f', score)
        out += delimited(1, piece + (b'' if kind == 1 else b'\x18' + varint(kind)))
    trainer = b'\x18\x02' + varint(35 << 3) + b'\x01'  # model_type BPE, byte_fallback
    normalizer = delimited(1, b'identity') + b'\x18\x01\x20\x00\x28\x01'  # dummy prefix, spaces kept, spaces escaped
    open(path, 'wb').write(out + delimited(2, trainer) + delimited(3, normalizer))


def main():
    data, out = sys.argv[1:]
    for file in sorted(os.listdir(data)):
        name, _, kind = file.partition('.gguf')
        if kind not in ('', '.xz') or not _:
            continue
        content = open(os.path.join(data, file), 'rb').read()
        content = lzma.decompress(content) if kind else content
        folder = os.path.join(out, name)
        os.makedirs(folder, exist_ok=True)
        open(folder + '/vocabulary.gguf', 'wb').write(content)
        v = read_gguf(content)
        if v['model'] == 'gpt2':
            write_byte_level(folder + '/tokenizer.json', v)
        else:
            write_characters(folder, v)
            os.makedirs(folder + '/model', exist_ok=True)
            write_sentencepiece(folder + '/model/tokenizer.model', v)
        if name == 'llama-bpe':
            os.makedirs(out + '/published', exist_ok=True)
            write_published(out + '/published/vocabulary.gguf', v)


if __name__ == '__main__':
    main()
