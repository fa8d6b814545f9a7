/* Counts the instructions that an emulated AArch64 program executes, by class: a plugin of QEMU's user emulation.
 *
 * The program marks where counting shall begin and end by getppid(), which nobody else calls: at every such call a
 * line of the counts so far is written to the file given as `counts=PATH`. Instructions are told apart where QEMU
 * translates a block; a block adds its counts when it is executed. Every access to memory goes through a model of two
 * caches; they are emptied whenever counting ends, since the weights that a run left there are long gone when a
 * network runs the same layer again. One thread.
 *
 * QEMU's plugin interface, version 1 (QEMU 4.2 to 8.x), is declared here: distributions do not ship its header.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_RW = 3 };
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef uint32_t qemu_plugin_meminfo_t;
typedef void (*accessed_t)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *);
typedef void (*translated_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*syscall_t)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                          uint64_t, uint64_t, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_t);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, syscall_t);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum qemu_plugin_op, void *, uint64_t);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, accessed_t, enum qemu_plugin_cb_flags,
                                      enum qemu_plugin_mem_rw, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum {
    VECTOR_FMA,      /* multiply and add of 16 bytes, products of bytes included */
    VECTOR_FMA_HALF, /* of 8 bytes, and of single numbers */
    VECTOR_SLOW,     /* divisions and roots */
    VECTOR_OTHER,
    VECTOR_LOAD,
    VECTOR_LOAD_MANY, /* several registers, and interleaved */
    VECTOR_STORE,
    LOAD,
    STORE,
    PREFETCH,
    BRANCH,
    OTHER,
    BYTES_LOADED,
    BYTES_STORED,
    NEAR_MISSES, /* lines that the first cache lacks */
    FAR_MISSES,  /* lines that the second one lacks, too */
    CLASSES
};

static uint64_t counts[CLASSES];
static FILE *out;
static bool counting;

/* Caches of a Cortex-A72 (but the ways of the first one, which has two): the line used last comes first in its set. */
enum { LINE_BITS = 6, NEAR_SETS = 128, NEAR_WAYS = 4, FAR_SETS = 1024, FAR_WAYS = 16 };
static uint64_t near_lines[NEAR_SETS][NEAR_WAYS], far_lines[FAR_SETS][FAR_WAYS];

static bool found_in(uint64_t *set, int ways, uint64_t line)
{
    int place = 0;
    while (place < ways - 1 && set[place] != line)
        place++;
    bool found = set[place] == line;
    memmove(set + 1, set, place * sizeof *set);
    set[0] = line;
    return found;
}

static void accessed(unsigned cpu, qemu_plugin_meminfo_t about, uint64_t address, void *data)
{
    static uint64_t last;
    uint64_t line = address >> LINE_BITS;
    (void)cpu, (void)about, (void)data;
    if (line == last)
        return;
    last = line;
    if (found_in(near_lines[line % NEAR_SETS], NEAR_WAYS, line))
        return;
    counts[NEAR_MISSES]++;
    if (!found_in(far_lines[line % FAR_SETS], FAR_WAYS, line))
        counts[FAR_MISSES]++;
}

static bool accesses_memory(uint32_t word) { return (word >> 25 & 5) == 4; }

static bool is(uint32_t word, uint32_t mask, uint32_t value) { return (word & mask) == value; }

static void count_memory(uint32_t word, uint64_t *found)
{
    bool vector = word >> 26 & 1, load = word >> 22 & 1, many = false;
    uint32_t size = word >> 30, bytes;
    if (is(word, 0xBE000000, 0x0C000000)) { /* structures: whole registers, or one element of each */
        static const uint8_t registers[16] = {4, 0, 4, 0, 3, 0, 3, 1, 2, 0, 2, 0, 0, 0, 0, 0};
        bool single = word >> 24 & 1;
        many = !single;
        bytes = single ? 4 : registers[word >> 12 & 15] * (word >> 30 & 1 ? 16 : 8);
    } else if (is(word, 0x38000000, 0x28000000)) { /* pairs */
        bytes = 2 * (vector ? 4u << size : size == 2 ? 8 : 4);
        many = vector;
    } else if (is(word, 0x38000000, 0x38000000)) { /* one register */
        bytes = vector && word >> 23 & 1 ? 16 : 1u << size;
        if (!vector) {
            if (size == 3 && word >> 23 & 1) {
                found[PREFETCH]++;
                return;
            }
            load = word >> 22 & 3;
        }
    } else if (is(word, 0x3B000000, 0x18000000)) { /* relative to the program counter */
        load = true;
        bytes = vector ? 4u << size : 8;
    } else {
        bytes = 8; /* exclusive and ordered */
    }
    found[!vector ? (load ? LOAD : STORE) : load ? (many ? VECTOR_LOAD_MANY : VECTOR_LOAD) : VECTOR_STORE]++;
    found[load ? BYTES_LOADED : BYTES_STORED] += bytes;
}

static void count_vector(uint32_t word, uint64_t *found)
{
    bool by_vector = is(word, 0xBFA0FC00, 0x0E20CC00) || is(word, 0xBFA0FC00, 0x0EA0CC00)     /* fmla, fmls */
                     || is(word, 0xBFE0FC00, 0x0E400C00) || is(word, 0xBFE0FC00, 0x0EC00C00)  /* of halves */
                     || is(word, 0x9F20FC00, 0x0E009400) || is(word, 0xBF20F400, 0x0E208000)  /* sdot, smlal */
                     || is(word, 0xBFE0FC00, 0x0E80A400);                                    /* smmla */
    bool by_element = is(word, 0xBF80B400, 0x0F801000) || is(word, 0xBFC0B400, 0x0F001000)
                      || is(word, 0x9F00F400, 0x0F00E000) || is(word, 0x9F00F400, 0x0F002000);
    if (by_vector || by_element)
        found[word >> 30 & 1 ? VECTOR_FMA : VECTOR_FMA_HALF]++;
    else if (is(word, 0xFF000000, 0x1F000000))
        found[VECTOR_FMA_HALF]++;
    else if (is(word, 0xBFA0FC00, 0x2E20FC00) || is(word, 0xBFBFFC00, 0x2EA1F800) /* of vectors */
             || is(word, 0xFF20FC00, 0x1E201800) || is(word, 0xFF3FFC00, 0x1E21C000))
        found[VECTOR_SLOW]++;
    else
        found[VECTOR_OTHER]++;
}

static void count(uint32_t word, uint64_t *found)
{
    if (accesses_memory(word))
        count_memory(word, found);
    else if ((word >> 25 & 7) == 7)
        count_vector(word, found);
    else if ((word >> 26 & 7) == 5)
        found[BRANCH]++;
    else
        found[OTHER]++;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    uint64_t found[CLASSES] = {0};
    (void)id;
    for (size_t n = 0; n < qemu_plugin_tb_n_insns(block); n++) {
        uint32_t word;
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, n);
        memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
        count(word, found);
        if (accesses_memory(word))
            qemu_plugin_register_vcpu_mem_cb(instruction, accessed, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, NULL);
    }
    for (int n = 0; n < CLASSES; n++)
        if (found[n])
            qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &counts[n], found[n]);
}

static void called(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                   uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    enum { GETPPID = 173 };
    (void)id, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != GETPPID)
        return;
    for (int n = 0; n < CLASSES; n++)
        fprintf(out, "%" PRIu64 "%c", counts[n], n + 1 < CLASSES ? ' ' : '\n');
    fflush(out);
    if (counting) {
        memset(near_lines, 0, sizeof near_lines);
        memset(far_lines, 0, sizeof far_lines);
    }
    counting = !counting;
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void *about, int argc,
                                                               char **argv)
{
    (void)about;
    if (argc != 1 || strncmp(argv[0], "counts=", 7) != 0 || !(out = fopen(argv[0] + 7, "w"))) {
        fprintf(stderr, "counter: expected counts=PATH, a file that can be written\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
