/* Loading a Hexagon shared object into this Linux process.
 *
 * What the DSP's own loader would do: map the segments, apply the four kinds of relocation that
 * such libraries hold, bind the imports to imports.c, and run the initializer. Every offset that
 * the file gives is checked against the image before it is used, so that a broken file is named
 * and not followed.
 */
#include "elf_loader.h"

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "imports.h"

/* qemu's page is 64 KiB (4 KiB from qemu 11 on), whatever the file's alignment says */
enum { PAGE = 0x10000, MAX_IMAGE = 256 << 20, TAGS = 40 };

static uint8_t *image;
static uint32_t image_size;
static const Elf32_Sym *symbols;
static uint32_t symbol_count;
static const char *names;
static uint32_t names_size;
static unsigned architecture;

static void reject(const char *why)
{
    fprintf(stderr, "cannot load the library: %s\n", why);
    exit(EXIT_FAILURE);
}

/* The image's bytes [offset, offset + size), or an end with a message. */
static void *inside(uint32_t offset, uint32_t size)
{
    if (offset > image_size || size > image_size - offset)
        reject("an address in the file is outside its segments");
    return image + offset;
}

static const char *symbol_name(const Elf32_Sym *symbol)
{
    if (symbol->st_name >= names_size)
        reject("a symbol's name is outside the string table");
    return names + symbol->st_name;
}

static void read_fully(int file, void *to, uint32_t size, uint32_t offset)
{
    uint8_t *next = to;
    while (size > 0) {
        ssize_t got = pread(file, next, size, offset);
        if (got <= 0)
            reject("the file is cut short");
        next += got;
        offset += got;
        size -= got;
    }
}

static void reserve_image(const Elf32_Phdr *segments, int count)
{
    uint32_t top = 0;
    for (int i = 0; i < count; i++) {
        if (segments[i].p_type != PT_LOAD)
            continue;
        uint64_t end = (uint64_t)segments[i].p_vaddr + segments[i].p_memsz;
        if (end > MAX_IMAGE || segments[i].p_filesz > segments[i].p_memsz)
            reject("a segment has an impossible size");
        if (end > top)
            top = end;
    }
    image_size = (top + PAGE - 1) & ~(uint32_t)(PAGE - 1);
    if (image_size == 0)
        reject("it has no loadable segment");
    image = mmap(NULL, image_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (image == MAP_FAILED)
        reject("there is no room for its image");
}

/* Whether a segment with these flags touches the page at `page`. */
static int touched(const Elf32_Phdr *segments, int count, uint32_t page, uint32_t flags)
{
    for (int i = 0; i < count; i++)
        if (segments[i].p_type == PT_LOAD && (segments[i].p_flags & flags)
            && segments[i].p_vaddr < page + PAGE
            && segments[i].p_vaddr + segments[i].p_memsz > page)
            return 1;
    return 0;
}

/* Code becomes executable, and read-only, once the relocations are in; in a page that code and
 * data share, it stays writable. */
static void protect(const Elf32_Phdr *segments, int count)
{
    for (uint32_t page = 0; page < image_size; page += PAGE) {
        if (!touched(segments, count, page, PF_X))
            continue;
        int shared = touched(segments, count, page, PF_W) ? PROT_WRITE : 0;
        if (mprotect(image + page, PAGE, PROT_READ | PROT_EXEC | shared) != 0)
            reject("its code cannot be made executable");
    }
}

static uint32_t address_of(uint32_t index)
{
    if (index >= symbol_count)
        reject("a relocation names a symbol that does not exist");
    const Elf32_Sym *symbol = &symbols[index];
    if (symbol->st_shndx != SHN_UNDEF)
        return (uint32_t)image + symbol->st_value;
    const char *name = symbol_name(symbol);
    void *provided = import_address(name);
    if (!provided && ELF32_ST_BIND(symbol->st_info) != STB_WEAK) {
        fprintf(stderr, "cannot load the library: it needs '%s', which is not provided\n", name);
        exit(EXIT_FAILURE);
    }
    return (uint32_t)provided;
}

static void relocate(uint32_t table, uint32_t size)
{
    const Elf32_Rela *entries = inside(table, size);
    for (uint32_t i = 0; i < size / sizeof *entries; i++) {
        const Elf32_Rela *entry = &entries[i];
        uint32_t value;
        switch (ELF32_R_TYPE(entry->r_info)) {
        case R_HEX_RELATIVE:
            value = (uint32_t)image + entry->r_addend;
            break;
        case R_HEX_32:
        case R_HEX_GLOB_DAT:
        case R_HEX_JMP_SLOT:
            value = address_of(ELF32_R_SYM(entry->r_info)) + entry->r_addend;
            break;
        default:
            fprintf(stderr, "cannot load the library: unknown relocation type %u\n",
                    (unsigned)ELF32_R_TYPE(entry->r_info));
            exit(EXIT_FAILURE);
        }
        memcpy(inside(entry->r_offset, sizeof value), &value, sizeof value);
    }
}

static void read_dynamic(uint32_t at, uint32_t size, uint32_t values[TAGS])
{
    const Elf32_Dyn *entries = inside(at, size);
    memset(values, 0, TAGS * sizeof values[0]);
    for (uint32_t i = 0; i < size / sizeof *entries && entries[i].d_tag != DT_NULL; i++)
        if (entries[i].d_tag > 0 && entries[i].d_tag < TAGS)
            values[entries[i].d_tag] = entries[i].d_un.d_val;
    if (!values[DT_SYMTAB] || !values[DT_STRTAB] || !values[DT_HASH])
        reject("it has no dynamic symbol table");
    const uint32_t *hash = inside(values[DT_HASH], 2 * sizeof *hash);
    symbol_count = hash[1];
    if (symbol_count > image_size / sizeof *symbols)
        reject("its symbol table has an impossible size");
    symbols = inside(values[DT_SYMTAB], symbol_count * sizeof *symbols);
    names_size = values[DT_STRSZ];
    names = inside(values[DT_STRTAB], names_size);
    if (names_size == 0 || names[names_size - 1] != 0)
        reject("its string table has no end");
}

void elf_load(const char *path)
{
    int file = open(path, O_RDONLY);
    Elf32_Ehdr header;
    Elf32_Phdr segments[16];
    if (file < 0)
        reject("the file cannot be opened");
    read_fully(file, &header, sizeof header, 0);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_type != ET_DYN)
        reject("it is not a shared object");
    unsigned version = header.e_flags & 0xff;
    architecture = (version >= 0x66 ? 0x8400 : 0x4000) | version;
    if (header.e_phnum > 16 || header.e_phentsize != sizeof segments[0])
        reject("its program headers are malformed");
    read_fully(file, segments, header.e_phnum * sizeof segments[0], header.e_phoff);
    reserve_image(segments, header.e_phnum);
    const Elf32_Phdr *dynamic = NULL;
    for (int i = 0; i < header.e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD)
            read_fully(file, image + segments[i].p_vaddr, segments[i].p_filesz,
                       segments[i].p_offset);
        if (segments[i].p_type == PT_DYNAMIC)
            dynamic = &segments[i];
    }
    close(file);
    if (!dynamic)
        reject("it has no dynamic section");
    uint32_t values[TAGS];
    read_dynamic(dynamic->p_vaddr, dynamic->p_memsz, values);
    relocate(values[DT_RELA], values[DT_RELASZ]);
    relocate(values[DT_JMPREL], values[DT_PLTRELSZ]);
    protect(segments, header.e_phnum);
    if (values[DT_INIT])
        ((void (*)(void))inside(values[DT_INIT], 4))();
}

unsigned elf_architecture(void)
{
    return architecture;
}

void *elf_symbol(const char *name)
{
    for (uint32_t i = 0; i < symbol_count; i++)
        if (symbols[i].st_shndx != SHN_UNDEF && strcmp(symbol_name(&symbols[i]), name) == 0)
            return image + symbols[i].st_value;
    return NULL;
}

const char *elf_function_at(unsigned address, unsigned *offset)
{
    uint32_t in_image = address - (uint32_t)image;
    const Elf32_Sym *best = NULL;
    if (in_image >= image_size)
        return NULL;
    for (uint32_t i = 0; i < symbol_count; i++)
        if (ELF32_ST_TYPE(symbols[i].st_info) == STT_FUNC && symbols[i].st_shndx != SHN_UNDEF
            && symbols[i].st_value <= in_image
            && (!best || symbols[i].st_value > best->st_value))
            best = &symbols[i];
    if (!best)
        return NULL;
    *offset = in_image - best->st_value;
    if (*offset >= best->st_size)
        return NULL;
    return names + best->st_name;
}
