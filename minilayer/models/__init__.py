"""The models of the jobs that come with minilayer, a few readable lines each."""
from minilayer.models.chars import CharLSTM
from minilayer.models.gpt import GPT

__all__ = ["GPT", "CharLSTM"]
