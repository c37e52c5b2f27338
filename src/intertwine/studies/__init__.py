"""One file a study: data in, a frozen result out; a study neither prints nor draws."""
