"""A fuzzer of what exod reads: damaged files must give a sentence, never a wrong answer.

Small observations (`bases`) are damaged at random but repeatably (`mutants`), read by exod in
processes with a limit of time and memory (`reading`, `campaign`), and what is found is compared
with what the sound files give. Where events or sources differ and nothing was said, a reader of its
own (`layout`, `judge`), which shares no code with exod, decides whether anyone could have known.

Run ``make fuzz``, or ``python -m fuzz --help`` in the folder ``tests``.
"""
