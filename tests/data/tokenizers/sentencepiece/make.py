#!/usr/bin/python3
# make.py - trains the small models of this folder and records their ids, with SentencePiece itself (python3-sentencepiece 0.1.97).
#
# gemma.*    BPE, no space in front, runs of spaces and newlines as symbols of the user, as Gemma has them
# llama.*    BPE, a space in front, as Llama 2 has it
# unigram.model, changing.model  kinds that are refused: unigram; BPE whose normalizer takes spaces away
# NAME.out   one line of ids per text of ../texts.inp, without begin and end of text
import os
import sentencepiece

HERE = os.path.dirname(os.path.abspath(__file__))
os.chdir(HERE)
STORIES = '../../story/heldout_text.txt'
KEEP = dict(normalization_rule_name='identity', remove_extra_whitespaces=False)
BPE = dict(model_type='bpe', vocab_size=900, byte_fallback=True, character_coverage=0.9995, **KEEP)


def train(name, **options):
    sentencepiece.SentencePieceTrainer.train(input=STORIES, model_prefix=name, minloglevel=2, num_threads=1, **options)
    os.remove(name + '.vocab')


def record(name):
    processor = sentencepiece.SentencePieceProcessor(model_file=name + '.model')
    texts = open('../texts.inp', 'rb').read().decode().split('\n__ggml_vocab_test__\n')
    lines = [' '.join(map(str, processor.encode(text))) for text in texts]
    open(name + '.out', 'w').write('\n'.join(lines))


train('gemma', add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3,
      user_defined_symbols=['<start_of_turn>', '\n', '\n\n', '\n\n\n', '\u2581\u2581', '\u2581\u2581\u2581\u2581', '<b>', '</b>'], **BPE)
train('llama', add_dummy_prefix=True, **BPE)
train('unigram', model_type='unigram', vocab_size=400, byte_fallback=True, **KEEP)
train('changing', model_type='bpe', vocab_size=400, byte_fallback=True, normalization_rule_name='identity')
for name in ('gemma', 'llama'):
    record(name)
