package libc

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"syscall"
)

// A Function is a place in a library's file where a probe belongs.
type Function struct {
	Name   string
	Number uint64 // enum libc_function in bpf/libc_room.h
	Offset uint64 // in the file
}

// functions are the numbers of what looks names up.
var functions = map[string]uint64{
	"getaddrinfo":      1,
	"gethostbyname":    2,
	"gethostbyname2":   3,
	"gethostbyname_r":  4,
	"gethostbyname2_r": 5,
}

const (
	maxFile    = 64 << 20 // bytes; C libraries have 2 to 20 MB with all their symbols
	maxSection = 4 << 20  // bytes of symbols, or of their names

	maxSections  = 1024 // C libraries with all their symbols have 80
	maxSegments  = 64   // and 15
	maxFunctions = 16   // glibc has 5; some versions of one may have places of their own
	longestName  = len("gethostbyname2_r")
)

var (
	errNotLibrary = errors.New("not a C library of this machine")
	errReplaced   = fmt.Errorf("%w: another file is there by now", errNotLibrary)
)

// refused tells whether a file was looked into and is no C library.
func refused(err error) bool {
	return errors.Is(err, errNotLibrary) && !errors.Is(err, errReplaced)
}

// read opens the file and finds its functions. What it reads may be a user's own file.
func (l *Library) read(path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if l.Functions, err = l.functionsOf(file); err != nil {
		file.Close()
		return err
	}
	l.file = file
	return nil
}

func (l *Library) functionsOf(file *os.File) ([]Function, error) {
	st, err := file.Stat()
	if err != nil {
		return nil, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if ok && (sys.Dev != l.Device || sys.Ino != l.Inode) {
		return nil, errReplaced
	}
	if !ok || !st.Mode().IsRegular() || st.Size() > maxFile {
		return nil, errNotLibrary
	}
	found, err := findFunctions(file)
	if err == nil && len(found) == 0 {
		err = errNotLibrary
	}
	return found, err
}

// findFunctions reads the exported symbols of an ELF file. By hand, and no more than it needs: debug/elf copies the name of
// every section and symbol, and follows chains of versions, so that a file of 2 KB costs it a second, and one of 8 MB
// more memory than there is.
func findFunctions(r io.ReaderAt) ([]Function, error) {
	var h elf.Header64
	if err := readAt(r, 0, &h); err != nil {
		return nil, err
	}
	machine := elf.Machine(h.Machine)
	if string(h.Ident[:elf.EI_VERSION]) != elf.ELFMAG+"\x02\x01" || elf.Type(h.Type) != elf.ET_DYN ||
		machine != machineOf[runtime.GOARCH] || h.Shnum > maxSections || h.Phnum > maxSegments {
		return nil, errNotLibrary
	}
	segments := make([]elf.Prog64, h.Phnum)
	if err := readAt(r, h.Phoff, segments); err != nil {
		return nil, err
	}
	symbols, names, err := dynamicSymbols(r, &h)
	if err != nil {
		return nil, err
	}
	var found []Function
	for ; len(symbols) >= elf.Sym64Size; symbols = symbols[elf.Sym64Size:] {
		fn, ok := functionOf(symbols, names, segments)
		if !ok {
			continue
		}
		if fn.Offset = behindMark(r, machine, fn.Offset); slices.Contains(found, fn) {
			continue
		}
		if found = append(found, fn); len(found) > maxFunctions {
			return nil, errNotLibrary
		}
	}
	return found, nil
}

// dynamicSymbols returns the table of exported symbols and that of their names.
func dynamicSymbols(r io.ReaderAt, h *elf.Header64) (symbols, names []byte, err error) {
	sections := make([]elf.Section64, h.Shnum)
	if err := readAt(r, h.Shoff, sections); err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(sections, func(s elf.Section64) bool { return elf.SectionType(s.Type) == elf.SHT_DYNSYM })
	if i < 0 || int64(sections[i].Link) >= int64(len(sections)) {
		return nil, nil, errNotLibrary
	}
	for _, table := range []struct {
		of elf.Section64
		to *[]byte
	}{{sections[i], &symbols}, {sections[sections[i].Link], &names}} {
		if table.of.Size > maxSection || elf.SectionFlag(table.of.Flags)&elf.SHF_COMPRESSED != 0 {
			return nil, nil, errNotLibrary
		}
		*table.to = make([]byte, table.of.Size)
		if err := readAt(r, table.of.Off, *table.to); err != nil {
			return nil, nil, err
		}
	}
	return symbols, names, nil
}

// functionOf reads a symbol (Elf64_Sym). ok is false unless it is one of ours, defined here.
func functionOf(symbol, names []byte, segments []elf.Prog64) (fn Function, ok bool) {
	at := binary.LittleEndian.Uint32(symbol)
	kind := elf.ST_TYPE(symbol[4])
	section := elf.SectionIndex(binary.LittleEndian.Uint16(symbol[6:]))
	if uint64(at) >= uint64(len(names)) || kind != elf.STT_FUNC || section == elf.SHN_UNDEF {
		return fn, false
	}
	name := names[at:min(uint64(len(names)), uint64(at)+uint64(longestName)+1)]
	end := bytes.IndexByte(name, 0)
	if end < 0 {
		return fn, false
	}
	fn.Name = string(name[:end])
	if fn.Number = functions[fn.Name]; fn.Number == 0 {
		return fn, false
	}
	fn.Offset, ok = fileOffset(segments, binary.LittleEndian.Uint64(symbol[8:]))
	return fn, ok
}

// readAt fills a slice or a structure from a place in the file.
func readAt(r io.ReaderAt, at uint64, to any) error {
	if at > maxFile {
		return errNotLibrary
	}
	err := binary.Read(io.NewSectionReader(r, int64(at), maxFile), binary.LittleEndian, to)
	return malformed(err)
}

// endbr64 is how functions begin that jumps may lead to (Intel CET).
var endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}

// behindMark skips endbr64, which does nothing, but which the kernel has to single-step: 15 us a call, where a push
// takes 0.7 (6.18). Not so the marks of arm64: there a return is only caught before its address is signed.
func behindMark(r io.ReaderAt, machine elf.Machine, offset uint64) uint64 {
	var b [4]byte
	if machine != elf.EM_X86_64 {
		return offset
	}
	if _, err := r.ReadAt(b[:], int64(offset)); err == nil && bytes.Equal(b[:], endbr64) {
		return offset + uint64(len(endbr64))
	}
	return offset
}

// malformed tells what a file is not from what the disk did not give.
func malformed(err error) error {
	var disk *fs.PathError
	if err == nil {
		return nil
	}
	if errors.As(err, &disk) {
		return err
	}
	return fmt.Errorf("%w: %w", errNotLibrary, err)
}

var machineOf = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// fileOffset is where an address of code stands in the file.
func fileOffset(segments []elf.Prog64, address uint64) (uint64, bool) {
	for _, p := range segments {
		code := elf.ProgType(p.Type) == elf.PT_LOAD && elf.ProgFlag(p.Flags)&elf.PF_X != 0
		if code && p.Vaddr <= address && address-p.Vaddr < p.Filesz {
			return address - p.Vaddr + p.Off, true
		}
	}
	return 0, false
}
