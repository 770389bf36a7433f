/* broken/absent_library.c - a library that a plugin is linked with and that is gone when the plugin is loaded. */
void bitnet_absent_function(void);
void bitnet_absent_function(void) {}
