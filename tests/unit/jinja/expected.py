#!/usr/bin/python3
# What Jinja itself makes of templates: one JSON object a line, {"name", "template", "variables", "text"} or {"error"}.
#
# The environment is set as Hugging Face's transformers set it for chat templates. Cases: whole chat templates with many
# conversations, small ones by hand, and random ones (seed and number as arguments).
# The standard library and Debian's python3-jinja2 are all it needs.
import datetime
import itertools
import json
import random
import sys
import warnings

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = 1700000000
warnings.simplefilter("ignore")


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def strftime_now(form):
    return datetime.datetime.fromtimestamp(NOW).strftime(form)


ENVIRONMENT = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
)
ENVIRONMENT.filters["tojson"] = tojson
ENVIRONMENT.globals["raise_exception"] = raise_exception
ENVIRONMENT.globals["strftime_now"] = strftime_now


class Evaluated:
    """What a generator gives. Jinja evaluates some filters when they are read, if ever, and prints them with their address; the other
    side evaluates them at once and refuses to print them, and so do the random cases here."""

    def __init__(self, items):
        self.items = iter(list(items))

    def __iter__(self):
        return self.items

    def __next__(self):
        return next(self.items)

    def __str__(self):
        raise TypeError("printed a generator")

    __repr__ = __str__


def evaluated(name):
    lazy = ENVIRONMENT.filters[name]

    def at_once(*args, **kwargs):
        out = lazy(*args, **kwargs)
        return out if isinstance(out, (str, list)) else Evaluated(out)

    for mark in jinja2.utils._PassArg:
        if jinja2.utils._PassArg.from_obj(lazy) is mark:
            at_once.jinja_pass_arg = mark
    ENVIRONMENT.filters[name] = at_once


def tell(name, template, variables):
    case = {"name": name, "template": template, "variables": variables}
    try:
        case["text"] = ENVIRONMENT.from_string(template).render(**variables)
    except Exception as error:  # any: the other side has to fail too
        case["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(case))


# --- chat templates, written from descriptions of the model families

CHAT = {
    "bitnet-2b-4t": "{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ message['role'] | capitalize + ': ' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}",
    "bitnet-2b-4t of its file": "{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}{% if message['role'] == 'user' %}"
    "{{ 'Human: ' + message['content'] + '\\n\\nBITNETAssistant: ' + eos_token }}{% elif message['role'] == 'assistant' %}"
    "{{ message['content'] + eos_token }}{% endif %}{% endfor %}",
    "llama-3": "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    "llama-3.2": """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- This block takes the system message apart. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One tool call at a time!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '{"name": "' + tool_call.name + '", "parameters": ' }}{{- tool_call.arguments | tojson }}{{- "}" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "falcon3": "{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>\n' + message['content'] + '\n' }}"
    "{% elif message['role'] == 'user' %}{{ '<|user|>\n' + message['content'] + '\n' }}{% elif message['role'] == 'assistant' %}"
    "{% if not loop.last %}{{ '<|assistant|>\n' + message['content'] + eos_token + '\n' }}{% else %}"
    "{{ '<|assistant|>\n' + message['content'] + eos_token }}{% endif %}{% endif %}"
    "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}",
    "falcon-e": "{{bos_token}}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "falcon-e of role and content": "{% for message in messages %}{% if not loop.first %}{{ '\n' }}{% endif %}{{ message['role'].title() + ': ' "
    "+ message['content'] }}{% endfor %}{% if add_generation_prompt %}{{ '\nFalcon:' }}{% endif %}",
    "qwen": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] }}{%- else %}{{- 'You are a helpful assistant.' }}{%- endif %}
    {{- "\\n\\n# Tools\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}{{- message.content }}{{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    "qwen3": """{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    "gemma": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}",
    "gemma-3": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\n'}}
{%- endif -%}
""",
    "llama-2": "{% if messages[0]['role'] == 'system' %}{% set system_message = '<<SYS>>\n' + messages[0]['content'] | trim + '\n<</SYS>>\n\n' %}"
    "{% set messages = messages[1:] %}{% else %}{% set system_message = '' %}{% endif %}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if loop.index0 == 0 %}{% set content = system_message + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content | trim + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + content | trim + ' ' + eos_token }}{% endif %}{% endfor %}",
    "with macros": """{%- macro show(role, text='', end='<|im_end|>') -%}
<|{{ role|upper }}|>{{ text | replace('a', 'b') }}{{ end }}
{% endmacro -%}
{%- for m in messages if m.role != 'system' -%}
{{ show(m.role, m.content) if not loop.last else show(m.role, text=m.content, end='') }}
{%- else -%}
nothing to say
{%- endfor -%}
{% set x = 'out' %}{% generation %}{{ x }}{% set x = 'in' %}{{ x }}{{ messages | map(attribute='role') | join(',') }}{% endgeneration %}{{ x }}""",
}

WORDS = ["Hi", "  Hello there \n", "", "What is 2+2?", "a\nb", "é ü 中文 🙂 ", "'quoted' \"double\" \\ back", "<|eot_id|><|im_end|>", "{{ 7*7 }}{% if %}",
         "\u00a0nbsp\u2003", "<think>\nsome\n</think>\n\nanswer"]


def conversations():
    for system in (None, "You are helpful.\n", " é "):
        for turns in range(0, 5):
            for shift in range(3):
                messages = [] if system is None else [{"role": "system", "content": system}]
                for i in range(turns):
                    messages.append({"role": ("user", "assistant")[i % 2], "content": WORDS[(i * 3 + shift * 4 + turns) % len(WORDS)]})
                yield messages
    yield [{"role": "assistant", "content": "first"}, {"role": "user", "content": "second"}]
    yield [{"role": "user", "content": [{"type": "text", "text": " part "}, {"type": "image"}]}]
    yield [{"role": "user", "content": None}]
    yield [{"role": "user"}]
    yield [{"role": "user", "content": "x"}, {"role": "tool", "content": "{}"}, {"role": "tool", "content": "[1]"}]
    yield [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1, "é": [True, None, 1.5]}}}]}]


def chat_cases():
    for (name, template), messages, generation in itertools.product(CHAT.items(), conversations(), (True, False)):
        variables = {"messages": messages, "add_generation_prompt": generation, "bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}
        tell(name, template, variables)
    weather = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
    for name in ("qwen", "qwen3", "llama-3.2"):
        tell(name + " with tools", CHAT[name], {"messages": [{"role": "user", "content": "x"}], "tools": weather, "bos_token": "B",
                                                "add_generation_prompt": True, "enable_thinking": False})


# --- small cases

VARIABLES = {
    "a": 7, "b": -3, "f": 2.5, "t": True, "n": None, "s": "Hello World", "u": "  Zoë 中 \n", "e": "", "l": [3, 1, 2], "w": ["b", "A", "c", "a"],
    "d": {"x": 1, "y": "two", "items": "shadow", "z": [1, {"k": "v"}]}, "m": [{"r": "u", "c": "1"}, {"r": "a", "c": "2"}, {"r": "u", "c": "3"}],
    "messages": [{"role": "user", "content": "hey"}],
}

SMALL = r"""
{{ a + b }} {{ a - b }} {{ a * b }} {{ a / b }} {{ a // b }} {{ a % b }} {{ b // 2 }} {{ b % 4 }} {{ 2 ** 10 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 2 ** -1 }}
{{ 1.5 + 1 }} {{ 3.0 }} {{ 1e3 }} {{ 1e16 }} {{ 1e-5 }} {{ 0.1 + 0.2 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 1_000 }} {{ 5.5 // 2 }} {{ -5.5 % 2 }} {{ 10 ** 15 * 1.0 }}
{{ t }} {{ not t }} {{ n }} {{ t + 1 }} {{ true and 'x' }} {{ false or 'y' }} {{ '' or 0 }} {{ n is none }} {{ t == 1 }} {{ 1 == 1.0 }} {{ none == false }}
{{ a > b }} {{ a < b <= 3 }} {{ 1 < 2 < 3 }} {{ 'a' < 'b' }} {{ 'é' > 'z' }} {{ l == [3, 1, 2] }} {{ l != [3] }} {{ (1, 2) == [1, 2] }} {{ d == d }}
{{ s ~ a ~ n ~ t ~ f }} {{ s + '!' }} {{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ [1] * 2 }} {{ [1] + [2] }} {{ (1,) + (2,) }} {{ 'x' * -1 }}
{{ s | upper }} {{ s | lower }} {{ s | capitalize }} {{ s | title }} {{ 'x-y z(w' | title }} {{ s.title() }} {{ "it's" .title() }} {{ 'aB' | capitalize }}
{{ u | trim }}| {{ u.strip() }}| {{ u.lstrip() }}| {{ u.rstrip() }}| {{ 'xxaxx' | trim('x') }} {{ 'xyaxy'.strip('yx') }} {{ 'éaé'.strip('é') }}
{{ s | length }} {{ u | length }} {{ l | length }} {{ d | length }} {{ e | length }} {{ nope | length }} {{ s | count }}
{{ s[0] }} {{ s[-1] }} {{ u[2:5] }} {{ u[::-1] }} {{ s[1:] }} {{ s[:-1] }} {{ s[::2] }} {{ s[99] }} {{ l[0] }} {{ l[-1] }} {{ l[1:] }} {{ l[::-1] }} {{ l[5] }} {{ l[5:] }} {{ l[-100:2] }}
{{ l[-100::-1] }} {{ l[:-100:-1] }} {{ l[100::-2] }} {{ l[2:0:-1] }} {{ l[-1:-3:-1] }} {{ u[-2:-100:-1] }} {{ s[:-3] }} {{ l[100:] }} {{ l[:-100] }}
{{ d.x }} {{ d['y'] }} {{ d.items is callable }} {{ d['items'] }} {{ d.get('x') }} {{ d.get('q') }} {{ d.get('q', 5) }} {{ d.z[1].k }} {{ d.nope }} {{ d['nope'] }} {{ d.z.1.k }}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %} {{ d.keys() | list }} {{ d.values() | list }} {{ d | list }} {{ d | items | list | length }}
{{ l }} {{ w }} {{ d }} {{ (1, 'a') }} {{ (1,) }} {{ () }} {{ [] }} {{ {} }} {{ {'a': none, 1: true} }} {{ ["it's", 'say "x"', "both ' and \""] }} {{ ['tab\t nl\n \\'] }}
{{ l | first }} {{ l | last }} {{ s | first }} {{ s | last }} {{ [] | first }} {{ [] | last is defined }} {{ d | first }}
{{ w | join }} {{ w | join(', ') }} {{ l | join('-') }} {{ m | join(',', attribute='r') }} {{ s | join('.') }}
{{ w | sort }} {{ l | sort }} {{ l | sort(reverse=true) }} {{ w | sort(case_sensitive=true) }} {{ m | sort(attribute='c', reverse=true) | map(attribute='c') | list }}
{{ w | unique | list }} {{ ['a', 'A', 'b'] | unique | list }} {{ l | sum }} {{ l | min }} {{ l | max }} {{ w | max }} {{ [] | min }} {{ m | map(attribute='c') | map('int') | sum }}
{{ w | reverse | list }} {{ s | reverse }} {{ l | list }} {{ s | list | length }} {{ range(5) | list }} {{ range(2, 10, 3) | list }} {{ range(5, 0, -2) | list }}
{{ m | selectattr('r', 'equalto', 'u') | list | length }} {{ m | rejectattr('r', '==', 'u') | list }} {{ l | select('odd') | list }} {{ l | reject('gt', 1) | list }} {{ m | selectattr('q') | list }} {{ ['', 'x'] | select | list }}
{{ m | map(attribute='q', default='-') | join }} {{ w | map('upper') | join(' ') }} {{ l | map('string') | list }}
{{ nope | default('x') }} {{ e | default('x') }} {{ e | default('x', true) }} {{ n | d('y') }} {{ n | d('y', boolean=true) }} {{ nope | default }}
{{ s | replace('l', 'L') }} {{ s | replace('l', 'L', 1) }} {{ s.replace('o', '') }} {{ s.replace('o', '0', 1) }} {{ 5 | replace('5', 6) }}
{{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ '  a  b c '.split() }} {{ '  a  b c '.split(none, 1) }} {{ '  a  b c '.rsplit(none, 1) }} {{ ''.split() }} {{ ''.split(',') }}
{{ s.startswith('He') }} {{ s.endswith(('x', 'ld')) }} {{ s.find('o') }} {{ s.rfind('o') }} {{ s.find('zz') }} {{ s.count('l') }} {{ s.index('W') }} {{ 'zoë中x'.find('x') }}
{{ s.removeprefix('Hello') }} {{ s.removesuffix('ld') }} {{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('-') }} {{ ', '.join(w) }}
{{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ ''.isdigit() }} {{ ' \n'.isspace() }} {{ 'a b'.isalnum() }} {{ 'one\ntwo\r\nthree'.splitlines() }} {{ 'one\n'.splitlines(true) }}
{{ d | tojson }} {{ l | tojson }} {{ s | tojson }} {{ u | tojson }} {{ n | tojson }} {{ t | tojson }} {{ 1.0 | tojson }} {{ '<&>\'"' | tojson }} {{ "\x01\x7f\u2028" | tojson }}
{{ d | tojson(indent=2) }} {{ [] | tojson(indent=2) }} {{ {} | tojson(indent=1) }} {{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }} {{ d | tojson(separators=(',', ':')) }} {{ {1: 2, none: 3, true: 4} | tojson }}
{{ '42' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ '3.9' | int }} {{ ' 5 ' | int }} {{ -3.7 | int }} {{ '1_000' | int }} {{ '2.5' | float }} {{ 'x' | float(1.5) }} {{ 3 | float }} {{ '-7' | int }} {{ '+7' | int }} {{ n | int }}
{{ -5 | abs }} {{ b | abs }} {{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 42 | round }} {{ 2.1 | round(0, 'ceil') }} {{ 2.9 | round(method='floor') }} {{ 42.55 | round(1) }}
{{ 'a\nb\n\nc' | indent }} {{ 'a\nb' | indent(2, true) }} {{ 'a\n\nb' | indent(2, blank=true) }} {{ 'a\nb' | indent('> ') }} {{ '' | indent }}|
{{ {'b': 1, 'A': 2} | dictsort }} {{ {'b': 1, 'A': 2} | dictsort(by='value') }} {{ {'b': 1, 'A': 2} | dictsort(true) }} {{ {'b': 1, 'a': 2} | dictsort(reverse=true) }}
{{ a is number }} {{ s is string }} {{ l is sequence }} {{ d is mapping }} {{ l is iterable }} {{ a is integer }} {{ f is float }} {{ t is boolean }} {{ t is integer }} {{ t is number }} {{ nope is defined }} {{ nope is undefined }} {{ s is not string }}
{{ 4 is even }} {{ 3 is odd }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(4) }} {{ 1 is in [1, 2] }} {{ 'a' is eq 'a' }} {{ t is true }} {{ t is false }} {{ n is sameas none }} {{ 'abc' is lower }} {{ 'ABC' is upper }} {{ '12' is lower }} {{ d is sequence }} {{ s is mapping }} {{ nope is iterable }} {{ 5 is iterable }}
{{ 'x' if t else 'y' }} {{ 'x' if nope }}| {{ ('x' if false) is defined }} {{ 1 if a > 3 else 2 if a > 1 else 3 }} {{ not a in l }} {{ 7 not in l }} {{ 'ell' in s }} {{ 'x' in d }} {{ 'q' in nope }}
{% if a > 100 %}A{% elif a > 5 %}B{% else %}C{% endif %}{% if nope %}x{% endif %}{% if not nope %}y{% endif %}{% if e %}1{% elif n %}2{% elif [] %}3{% elif {} %}4{% elif 0.0 %}5{% endif %}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}
{% for x in [] %}no{% else %}empty{% endfor %}{% for x in nope %}no{% else %}undefined{% endfor %}{% for c in 'aé' %}[{{ c }}]{% endfor %}{% for k in d %}{{ k }}{% endfor %}
{% for x in l if x > 1 %}{{ x }}/{{ loop.length }} {% else %}none{% endfor %}{% for x in l if x > 10 %}{{ x }}{% else %}none{% endfor %}{% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }}{% endfor %}{{ a }}
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% if x == 2 %}{% break %}{% endif %}{% else %}never{% endfor %}{% for x in l %}{% for y in w %}{{ x }}{{ y }}{% if loop.index == 2 %}{% break %}{% endif %}{% endfor %}{% endfor %}
{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}{% if t %}{% set x = 9 %}{% endif %}{{ x }}{% set p, q = 1, 2 %}{{ p }}{{ q }}
{% set ns = namespace(n=0, l=[]) %}{% for i in l %}{% set ns.n = ns.n + i %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.n }}{{ ns.l }}{{ ns.q is defined }}{{ ns['n'] }}
{% set x %}  block {{ a }} {% endset %}[{{ x }}]{% set y | trim | upper %}  block {% endset %}[{{ y }}]{% set x %}{% set inner = 5 %}{{ inner }}{% endset %}{{ x }}{{ inner is defined }}
{% macro f(a, b=2, c='x') %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, 3) }} {{ f(1, c='z') }} {{ f() }} {{ f(b=1, a=0) }}{% macro g(n) %}{{ n }}{% if n > 0 %}{{ g(n - 1) }}{% endif %}{% endmacro %}{{ g(3) }}
{% macro late() %}{{ later }}{% endmacro %}{% set later = 5 %}{{ late() }}{% macro k(x) %}{% set y = x * 2 %}{{ y }}{% endmacro %}{{ k(4) | trim }}{{ y is defined }}{{ k(2) | length }}
{% for x in [1,1,2] %}{% if loop.changed(x) %}c{% endif %}{{ loop.cycle('o', 'e') }}{% endfor %}{% for x in l %}{% set outer = loop %}{% for y in [1] %}{{ outer.index }}{% endfor %}{% endfor %}
{% raw %}{{ not }} {% a %}{% endraw %}|{%- raw -%}  x  {%- endraw -%}| {# comment {{ x }} #}|{#- c -#}  |  {{- 1 -}}  |
{{ "a" "b" 'c' }} {{ '\x41\u00e9\n\t\\\'\"\q\101' }} {{ "multi
line" }} {{ (1, 2)[0] }} {{ [1, 2,] }} {{ {'a': 1,}.a }} {{ ((3)) }} {{ - 3 }} {{ +3 }} {{ - -3 }} {{ not not t }} {{ 1 - -1 }}
{{ dict(a=1, b='x') }} {{ dict({'a': 1}, b=2).b }} {{ namespace(a=1).a }} {{ strftime_now('%Y') | length }} {{ strftime_now('%d %b %Y') }} {{ 'a' ~ 1 + 2 }} {{ 1 + 2 ~ 'a' }} {{ 2 * 3 ~ 4 }}
{{ messages[0].content.split('e')[0] }} {{ messages | length > 0 }} {{ messages[-1]['role'] }} {{ messages[0]['content'][:2] }} {{ messages[3] is defined }} {{ (messages | last).role }} {{ messages | map(attribute='content') | list }}
{{ 'yes' if 'user' in messages | map(attribute='role') | list else 'no' }} {{ l | map('float') | list }} {{ s | string }} {{ l | string }} {{ 1 | string + 'x' }} {{ {'a': {'b': [1, 2]}}['a']['b'][1] }} {{ '%d' }}
{{ s | safe }} {{ [1, 2, 3] | length }} {{ ('a', 'b') | join }} {{ {'a':{'b':{}}} }}{{ {}|length }} {{ 'a' if [] is defined and [] else 'b' }} {{ 3 is defined }} {{ loop is defined }} {{ range(3)|length }} {{ range(3)[1] if false else 2 }}
{{ x.y.z }}
{{ nope.x }}
{{ nope['x'] }}
{{ nope + 1 }}
{{ nope() }}
{{ a() }}
{{ a.b }}|{{ s.nope }}|{{ l.nope }}|{{ n.x }}|
{{ s + 1 }}
{{ l + 1 }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ none | length }}
{{ 5 | length }}
{{ 5 | first }}
{{ none | join }}
{{ 1 < 'a' }}
{{ 1 in 5 }}
{{ {} in d }}
{{ d.get([]) }}
{{ m | unique | list }}
{{ 1 in 'a' }}
{{ l.append(4) }}
{{ d.update({}) }}
{{ ''.__class__.__mro__ }}
{{ raise_exception('no ' ~ a) }}
{{ range(1000000) | list }}
{{ 'x' | nope }}
{{ 'x' is nope }}
{% nope %}
{% if %}x{% endif %}
{% if a %}x
{% for x in l %}
{% endfor %}
{% for x l %}{% endfor %}
{% else %}
{% set %}
{% set x %}
{% set a = %}
{{ a b }}
{{ a
{{ 'a }}
{{ }}
{{ (1 }}
{{ [1 }}
{{ 1) }}
{{ a | }}
{{ a is }}
{{ a. }}
{{ a[ }}
{{ f(a=1, 2) }}
{{ f(a=1, a=2) }}
{{ @ }}
{{ a ? b }}
{# never closed
{% raw %} never closed
{% break %}
{% macro f %}{% endmacro %}
{% macro f() %}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=2) }}
{% set ns = 5 %}{% set ns.x = 1 %}
{% set p, q = 1, 2, 3 %}
{% for a, b in [1] %}{% endfor %}
{% for x in 5 %}{% endfor %}
{{ l | join(',', 1, 2, 3) }}
{{ s.strip(1) }}
{{ s.split('') }}
{{ s.index('zz') }}
{{ '5' * '5' }}
{{ -'a' }}
{{ {[1]: 2} }}
{{ l[::0] }}
{{ l['a'] }}|{{ s['a'] }}|{{ a['b'] }}|
{{ namespace(1) }}
{{ loop.index }}
{{ 007 }}
""".strip("\n").split("\n")

# Jinja does these; this program may say that it does not, but nothing else.
REFUSED = r"""
{{ s.format(1) }}
{{ s.__class__ }}
{{ '%s' % a }}
{{ 'é' | upper }}
{{ ['é'] }}
{{ s | wordcount }}
{{ s | escape }}
{{ s.zfill(20) }}
{{ (s | safe) ~ '<' }}
{% with q = 1 %}{{ q }}{% endwith %}
{% filter upper %}x{% endfilter %}
{{ 2 ** 64 }}
{{ 12345678901234567890123 }}
{{ range(3) }}
{{ range(3) is sequence }}
{{ d.items() }}
{{ 0x10 }}
{{ a.real }}
{{ f(*l) }}
""".strip("\n").split("\n")

SPACES = [
    "a\n{% if t %}\nb\n{% endif %}\nc\n", "  {% if t %}  x  {% endif %}  \n", "a  {%- if t -%}  x  {%- endif -%}  b", "a\n  {%+ if t %}x{% endif +%}\nb",
    "a\n   {# c #}\nb", "a {# c #} b\n\n", "x\n\n", "x\r\ny\r", "{{ a }}\n{{ b }}\n", "\n{{ a }}\n\n{{ b }}", "  {{- a }}  \n  {{ b -}}  \n c", "{% if t %}\n\n\n{% endif %}\n\nx",
    "a\n\t{% set x = 1 %}\t\n{{ x }}", "{%- for i in l %}\n  {{ i }}\n{%- endfor %}\nend", "{% for i in l %}  {% if i == 1 %}  one\n  {% endif %}  {% endfor %}|", "a{% raw %}\n  x\n{% endraw %}\nb",
    "  {% raw %}  {{ x }}  {% endraw %}  b", "x {#- c #} y", "x {# c -#} y", "x {#+ c +#}\n y", "{{+ a }} {{- a -}} x", "{#-#}x", "a {##} b", "{% if t -%}\n x\n{%- else -%}\n y\n{%- endif %}\n",
    "\x0b {% if t %}x{% endif %}", "a\n  {% if t %}{% endif %}  {% if t %}\n  b{% endif %}", "a\n  x {% if t %}b{% endif %}", "  {{ a }}{% if t %}\n{% endif %}\n  {% if t %}x{% endif %}",
]


def small_cases():
    for template in SMALL:
        tell("small", template, VARIABLES)
        for part in template.split(" {{"):
            tell("part", part if part.startswith(("{", "}")) else "{{" + part, VARIABLES)
    for template in REFUSED:
        tell("refused", template, VARIABLES)
    for template in SPACES:
        tell("white space", template, VARIABLES)


# --- random templates, valid and not quite

ATOMS = ["a", "b", "f", "t", "n", "s", "u", "e", "l", "w", "d", "m", "nope", "1", "2", "-1", "0", "1.5", "'x'", "'o'", "''", "[1, 2]", "(1, 2)", "[]", "{}", "{'x': 1}", "true",
         "none", "d.x", "d.z", "m[0]", "m[0].c", "s[1:]", "l[0]", "loop.index", "loop.first", "x", "ns.v", "range(3)", "messages[0].content"]
FILTERS = ["trim", "upper", "lower", "capitalize", "title", "length", "first", "last", "list", "join(',')", "join", "string", "int", "float", "abs", "round", "default('D')", "default(0, true)",
           "tojson", "replace('o', '0')", "sort", "unique", "reverse", "map('string')", "select", "sum", "min", "max", "items", "indent(2)", "map(attribute='c')", "selectattr('r', 'eq', 'u')", "dictsort"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true", "false", "mapping", "sequence", "iterable", "odd", "even", "in [1, 'x']", "eq 1", "divisibleby 2", "lt 5"]
METHODS = ["strip()", "split()", "split('o')", "upper()", "startswith('H')", "replace('l', '')", "items()", "keys()", "get('x')", "title()", "lstrip('H')", "splitlines()", "count('l')", "find('W')", "index(1)"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def expression(self, depth):
        pick = self.random.random()
        if depth <= 0 or pick < 0.2:
            return self.random.choice(ATOMS)
        inner = self.expression(depth - 1)
        if pick < 0.40:
            return f"{inner} {self.random.choice(OPERATORS)} {self.expression(depth - 1)}"
        if pick < 0.55:
            return f"{inner} | {self.random.choice(FILTERS)}"
        if pick < 0.63:
            return f"{inner} is {self.random.choice(['', 'not '])}{self.random.choice(TESTS)}"
        if pick < 0.70:
            return f"({inner}).{self.random.choice(METHODS)}"
        if pick < 0.78:
            return f"({inner})"
        if pick < 0.84:
            return f"({inner})[{self.random.choice(['0', '-1', '1:', ':1', '::-1', chr(39) + 'x' + chr(39), '1:2'])}]"
        if pick < 0.90:
            return f"{inner} if {self.expression(depth - 1)} else {self.expression(depth - 1)}"
        if pick < 0.94:
            return f"not {inner}"
        if pick < 0.97:
            return f"[{inner}, {self.expression(depth - 1)}]"
        return f"-{inner}"

    def tag(self, body):
        left, right = self.random.choice(["", "", "", "-", "+"]), self.random.choice(["", "", "", "-", "+"])
        return "{%" + left + " " + body + " " + right + "%}"

    def printed(self, depth):
        return "{{" + self.random.choice(["", "", "-"]) + " " + self.expression(depth) + " " + self.random.choice(["", "", "-"]) + "}}"

    def body(self, depth):
        return "".join(self.statement(depth) for _ in range(self.random.randint(1, 3)))

    def statement(self, depth):
        pick = self.random.random()
        if pick < 0.25 or depth <= 0:
            return self.random.choice(["text", " ", "\n", "  \n", "\n  ", "x\n\ny", "{# c #}", "{#- c -#}\n", "é "]) + self.printed(2)
        if pick < 0.50:
            return self.printed(3)
        if pick < 0.65:
            other = self.tag("else") + self.body(depth - 1) if self.random.random() < 0.5 else ""
            return self.tag("if " + self.expression(2)) + self.body(depth - 1) + other + self.tag("endif")
        if pick < 0.80:
            over = self.random.choice(["l", "w", "m", "s", "d", "range(3)", "[]", self.expression(1)])
            test = " if " + self.expression(1) if self.random.random() < 0.2 else ""
            stop = self.tag("break") if self.random.random() < 0.1 else ""
            return self.tag(f"for x in {over}{test}") + self.body(depth - 1) + stop + self.tag("endfor")
        if pick < 0.88:
            return self.tag("set x = " + self.expression(2))
        if pick < 0.92:
            return self.tag("set x") + self.body(depth - 1) + self.tag("endset")
        if pick < 0.96:
            return self.tag("set ns = namespace(v=1)") + self.tag("set ns.v = " + self.expression(2))
        return self.tag("macro x(a, b=1)") + self.body(depth - 1) + self.tag("endmacro") + "{{ x(" + self.expression(1) + ") }}"

    def template(self):
        text = self.body(3)
        if self.random.random() < 0.15:  # spoil it
            at = self.random.randrange(len(text) + 1)
            text = text[:at] + self.random.choice(["{", "}", "%}", "{%", "(", ")", "'", "|", ".", " if ", ""]) + text[at + self.random.randint(0, 3):]
        return text


def random_cases(seed, number):
    maker = Maker(seed)
    for name in ("map", "select", "reject", "selectattr", "rejectattr", "unique", "reverse", "items"):
        evaluated(name)
    for _ in range(number):
        tell("random", maker.template(), VARIABLES)


if __name__ == "__main__":
    chat_cases()
    small_cases()
    random_cases(int(sys.argv[1]), int(sys.argv[2]))
