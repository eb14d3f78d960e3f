"""A SentencePiece model as transformers' trainers call a tokenizer: BOS in front."""

from __future__ import annotations

import sentencepiece
import transformers


class SentencePiece(transformers.PreTrainedTokenizer):
    def __init__(self, file, **options):
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(file))
        super().__init__(bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<unk>", **options)

    @property
    def vocab_size(self):
        return self.pieces.get_piece_size()

    def get_vocab(self):
        return {self.pieces.id_to_piece(id): id for id in range(self.vocab_size)}

    def _tokenize(self, text, **_):
        return self.pieces.encode(text, out_type=str)

    def _convert_token_to_id(self, token):
        return self.pieces.piece_to_id(token)

    def _convert_id_to_token(self, id):
        return self.pieces.id_to_piece(id)

    def build_inputs_with_special_tokens(self, ids, pair=None):
        return [self.bos_token_id, *ids, *(pair or [])]
