# One plugin in every format; called by the Makefile.
NAME = $(PLUGIN)
FILES_DSP = plugin.cpp stream.cpp link.cpp paths.cpp
DPF_BUILD_DIR = $(OUT)/.work/$(PLUGIN)
DPF_TARGET_DIR = $(OUT)
override CXXFLAGS += -std=gnu++17 -fno-fast-math -Wno-unused-parameter
ifeq ($(SPLIT),true)
override CXXFLAGS += -DSTEMSTEER_SPLIT
endif
override LDFLAGS += -lpthread
ifneq ($(SANITIZE),)
override CXXFLAGS += -g -O1 -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
override LDFLAGS += -fsanitize=$(SANITIZE)
endif
include $(DPF_PATH)/Makefile.plugins.mk
TARGETS = jack lv2_dsp vst3 clap
all: $(TARGETS)
