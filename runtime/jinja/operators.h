// jinja/operators.h - the operators between values, and taking items and slices out of them.
//
// Errors  Error{kUsage}: types that do not go together, whole numbers beyond 64 bits, division by zero.
#pragma once

#include "jinja/syntax.h"

namespace bitnet::jinja {

Value calculate(Meter& meter, Operator op, const Value& a, const Value& b);
Value negate(Meter& meter, const Value& value, bool minus);
bool relate(Meter& meter, Relation relation, const Value& a, const Value& b);
bool contains(Meter& meter, const Value& container, const Value& item);

// value[key]: undefined when there is no such item.
Value item_of(Meter& meter, const Value& value, const Value& key);
// value[start:stop:step]; null: absent.
Value slice_of(Meter& meter, const Value& value, const Value* start, const Value* stop, const Value* step);
// The length of what has one; error for others.
size_t length_of(Meter& meter, const Value& value);

}  // namespace bitnet::jinja
