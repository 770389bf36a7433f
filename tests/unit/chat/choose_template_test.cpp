// tests/unit/chat/choose_template_test.cpp - which template a model gets, and the tokens of the published 2B-4T file.
#include "chat/choose_template.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "chat/built_in_templates.h"
#include "support/files.h"
#include "support/temp_folder.h"

namespace bitnet::chat {
namespace {

const std::string kPublished = std::string(BITNET_SHARED_DIR) + "/data/tokenizers/vocab-2b4t-as-published.gguf";
const std::string kStory = BITNET_STORY_MODEL;

struct Opened {
  gguf::File file;
  Tokenizer tokenizer;
  explicit Opened(const std::string& path) : file(path), tokenizer(Tokenizer::from_gguf(file)) {}
  ChosenTemplate choose(const TemplateWish& wish) const { return choose_template(file, "bitnet-b1.58", tokenizer, wish); }
};

std::string refusal(const Opened& model, const TemplateWish& wish) {
  try {
    model.choose(wish);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage);
    return e.what();
  }
  return "no error";
}

const Conversation kOneQuestion = {{"user", "Hey, are you conscious? Can you talk to me?"}};

TEST(Published2B4T, GetsTheRightTemplateAndItIsSaid) {
  if (!std::filesystem::exists(kPublished)) GTEST_SKIP() << kPublished << " is absent";
  const Opened model(kPublished);
  const ChosenTemplate chosen = model.choose({});
  ASSERT_TRUE(chosen.chat_template);
  EXPECT_NE(chosen.note.find("--chat-template file"), std::string::npos) << chosen.note;
  const jinja::Text text = chosen.chat_template->render(kOneQuestion);
  EXPECT_EQ(text.bytes(), "<|begin_of_text|>User: Hey, are you conscious? Can you talk to me?<|eot_id|>Assistant: ");
  // Ids recorded from the model's own tokenizer.
  const std::vector<int32_t> expected = {128000, 1502, 25,  28653, 11, 527,    499,   17371, 30, 3053,
                                         499,    3137, 311, 757,   30, 128009, 72803, 25,    220};
  EXPECT_EQ(chosen.chat_template->encode(text, 4096), expected);
  EXPECT_EQ(chosen.chat_template->encode(text, 5).size(), 5u);
  EXPECT_TRUE(chosen.chat_template->stops().empty()) << "the vocabulary has a token for the end of a turn";
  for (const int32_t id : {128001, 128009}) EXPECT_TRUE(model.tokenizer.is_end_of_generation(id)) << id;
}

TEST(Published2B4T, KeepsSystemPromptAndHistory) {
  if (!std::filesystem::exists(kPublished)) GTEST_SKIP() << kPublished << " is absent";
  const Opened model(kPublished);
  const ChosenTemplate chosen = model.choose({});
  EXPECT_EQ(chosen.chat_template
                ->render(Conversation{{"system", " Be brief.\n"}, {"user", "Hi"}, {"assistant", " Hello! "}, {"user", "Bye"}})
                .bytes(),
            "<|begin_of_text|>System: Be brief.<|eot_id|>User: Hi<|eot_id|>Assistant: Hello!<|eot_id|>User: "
            "Bye<|eot_id|>Assistant: ");
}

TEST(Published2B4T, TheFilesTemplateCanBeForced) {
  if (!std::filesystem::exists(kPublished)) GTEST_SKIP() << kPublished << " is absent";
  const Opened model(kPublished);
  const ChosenTemplate chosen = model.choose({"file", {}});
  EXPECT_EQ(chosen.note, "");
  EXPECT_EQ(chosen.chat_template->render(Conversation{{"user", "Hi"}}).bytes(),
            "<|begin_of_text|>Human: Hi\n\nBITNETAssistant: <|end_of_text|>");
}

TEST(ChooseTemplate, WithoutOneThereIsNone) {
  const Opened story(kStory);
  EXPECT_FALSE(story.choose({}).chat_template);
  EXPECT_NE(refusal(story, {"file", {}}).find("has no chat template"), std::string::npos);
}

TEST(ChooseTemplate, ByName) {
  const Opened story(kStory);
  for (const BuiltInTemplate& row : built_in_templates()) {
    const ChosenTemplate chosen = story.choose({std::string(row.name), {}});
    const std::string text =
        chosen.chat_template->render(Conversation{{"system", "S"}, {"user", "U"}, {"assistant", "A"}, {"user", "V"}}).bytes();
    EXPECT_LT(text.find('S'), text.find("U")) << text;
    EXPECT_NE(text.find('V'), std::string::npos) << text;
  }
  EXPECT_EQ(story.choose({"llama3", {}}).chat_template->render(kOneQuestion).bytes().substr(0, 45),
            "<|begin_of_text|><|start_header_id|>user<|end");
  EXPECT_EQ(story.choose({"falcon3", {}}).chat_template->render(Conversation{{"user", "Hi"}}).bytes(),
            "<|user|>\nHi\n<|assistant|>\n");
  EXPECT_EQ(story.choose({"gemma", {}}).chat_template->render(Conversation{{"system", "S"}, {"user", "Hi"}}).bytes(),
            "<|begin_of_text|><start_of_turn>user\nS\n\nHi<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_NE(refusal(story, {"nope", {}}).find("bitnet, chatml, falcon3, gemma, llama3, found 'nope'"), std::string::npos);
}

// The story model knows <|eot_id|>, but not the end of ChatML's turns: its letters have to stop the answer.
TEST(ChooseTemplate, EndOfTurnWithoutATokenBecomesAStopText) {
  const Opened story(kStory);
  EXPECT_TRUE(story.choose({"bitnet", {}}).chat_template->stops().empty());
  EXPECT_EQ(story.choose({"chatml", {}}).chat_template->stops(), std::vector<std::string>{"<|im_end|>"});
}

TEST(ChooseTemplate, FromAFile) {
  const Opened story(kStory);
  const test::TempFolder folder;
  test::write_text(folder / "t.jinja", "{{ messages[0].content }}!{{ eos_token }}");
  const ChosenTemplate chosen = story.choose({{}, folder / "t.jinja"});
  EXPECT_EQ(chosen.chat_template->render(Conversation{{"user", "Hi"}}).bytes(), "Hi!<|end_of_text|>");
  const std::vector<int32_t> ids =
      chosen.chat_template->encode(chosen.chat_template->render(Conversation{{"user", "Hi"}}), 100);
  EXPECT_EQ(ids.front(), *story.tokenizer.bos()) << "the file wants a beginning, the template writes none";
  EXPECT_EQ(ids.back(), *story.tokenizer.eos());
  test::write_text(folder / "bad.jinja", "x\n{% if %}");
  EXPECT_NE(refusal(story, {{}, folder / "bad.jinja"}).find("bad.jinja: line 2, column 7"), std::string::npos)
      << refusal(story, {{}, folder / "bad.jinja"});
  EXPECT_NE(refusal(story, {{}, folder / "absent"}).find("cannot be read"), std::string::npos);
  EXPECT_NE(refusal(story, {{}, folder.path().string()}).find("cannot be read"), std::string::npos);
}

TEST(ChooseTemplate, BosIsThereOnce) {
  const Opened story(kStory);
  const ChosenTemplate chosen = story.choose({"bitnet", {}});
  const std::vector<int32_t> ids = chosen.chat_template->encode(chosen.chat_template->render(kOneQuestion), 100);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), *story.tokenizer.bos()), 1);
}

}  // namespace
}  // namespace bitnet::chat
