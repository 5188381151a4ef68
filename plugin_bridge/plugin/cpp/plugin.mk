# One plugin as LV2 and as a JACK program, by DPF; called by the Makefile.
NAME = $(PLUGIN)
FILES_DSP = plugin.cpp effect.cpp state.cpp text.cpp stream.cpp link.cpp paths.cpp
DPF_BUILD_DIR = $(OUT)/.work/$(PLUGIN)
DPF_TARGET_DIR = $(OUT)
override CXXFLAGS += -std=gnu++17 -fno-fast-math -Wno-unused-parameter
ifeq ($(SPLIT),true)
override CXXFLAGS += -DSTEMSTEER_SPLIT
endif
ifneq ($(URL),)
override CXXFLAGS += -DSTEMSTEER_URL='"$(URL)"'
endif
override LDFLAGS += -lpthread -Wl,-z,nodelete
include $(DPF_PATH)/Makefile.plugins.mk
TARGETS = jack lv2_dsp
ifeq ($(WINDOW),true)
FILES_WINDOW = $(addprefix window/,lv2_ui.cpp lv2_plugin.cpp view.cpp x11_window.cpp gestures.cpp picture.cpp canvas.cpp \
	field.cpp libraries.cpp)
$(FILES_WINDOW:%=$(DPF_BUILD_DIR)/%.o): BUILD_CXX_FLAGS += -I$(DPF_PATH)/distrho/src $(CAIRO)
$(lv2_dsp): $(FILES_WINDOW:%=$(DPF_BUILD_DIR)/%.o)
SYMBOLS_LV2DSP = $(SYMBOLS_LV2)
-include $(FILES_WINDOW:%=$(DPF_BUILD_DIR)/%.d)
endif
all: $(TARGETS)
