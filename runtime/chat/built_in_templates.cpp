// chat/built_in_templates.cpp - one row per format, written from what its models were trained on.
#include "chat/built_in_templates.h"

#include <iterator>

namespace bitnet::chat {
namespace {

constexpr BuiltInTemplate kTemplates[] = {
    {"bitnet", "<|eot_id|>",
     "{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
     "{{ message.role | capitalize + ': ' + message.content | trim + '<|eot_id|>' }}{% endfor %}"
     "{% if add_generation_prompt %}Assistant: {% endif %}",
     "BitNet b1.58 2B-4T"},
    {"chatml", "<|im_end|>",
     "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}"
     "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
     "Qwen, Falcon-E and many others"},
    {"falcon3", "",
     "{% for message in messages %}{{ '<|' + message.role + '|>\\n' + message.content }}"
     "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
     "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
     "Falcon3"},
    {"gemma", "<end_of_turn>",
     "{{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages %}{% if message.role == 'system' %}"
     "{% set ns.system = message.content | trim + '\\n\\n' %}{% else %}"
     "{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' + ns.system + message.content "
     "| trim + "
     "'<end_of_turn>\\n' }}{% set ns.system = '' %}{% endif %}{% endfor %}"
     "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
     "Gemma"},
    {"llama3", "<|eot_id|>",
     "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + "
     "message.content | trim + '<|eot_id|>' }}{% endfor %}"
     "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
     "Llama 3, Llama3-8B-1.58"},
};

}  // namespace

std::span<const BuiltInTemplate> built_in_templates() { return kTemplates; }

const BuiltInTemplate* find_built_in_template(std::string_view name) {
  for (const BuiltInTemplate& row : kTemplates) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::string built_in_template_names() {
  std::string out;
  for (const BuiltInTemplate& row : kTemplates) out += (out.empty() ? "" : ", ") + std::string(row.name);
  return out;
}

}  // namespace bitnet::chat
