// conformance/test.h - the list of tests. To add one: a function, a line in the list of its group's file.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "subject.h"

namespace bitnet::conformance {

struct Test {
  std::string name;  // "group.what"
  std::string rule;  // what a failure breaks, unless it says otherwise
  std::function<void(Subject&)> run;
  bool ends_normally = false;  // its process runs static destructors, instead of _exit()
};

using Tests = std::vector<Test>;
Tests static_tests();
Tests load_tests();
Tests formats_tests();
Tests matmul_tests();
Tests dense_tests();
Tests norm_tests();
Tests rope_tests();
Tests attention_tests();
Tests attention_parts_tests();
Tests glu_tests();
Tests engine_tests();
Tests engine_limits_tests();
Tests all_tests();  // in this order

}  // namespace bitnet::conformance
