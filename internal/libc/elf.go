package libc

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
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
)

var errNotLibrary = errors.New("not a C library of this machine")

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
	if !ok || sys.Dev != l.Device || sys.Ino != l.Inode || !st.Mode().IsRegular() || st.Size() > maxFile {
		return nil, errNotLibrary
	}
	found, err := findFunctions(file)
	if err == nil && len(found) == 0 {
		err = errNotLibrary
	}
	return found, err
}

// findFunctions reads the exported symbols of an ELF file.
func findFunctions(r io.ReaderAt) (found []Function, err error) {
	defer func() {
		if p := recover(); p != nil { // debug/elf is not hardened against such files
			err = fmt.Errorf("%w: %v", errNotLibrary, p)
		}
	}()
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, malformed(err)
	}
	defer f.Close()
	if f.Class != elf.ELFCLASS64 || f.Type != elf.ET_DYN || f.Machine != machineOf[runtime.GOARCH] || !modest(f) {
		return nil, errNotLibrary
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return nil, malformed(err)
	}
	seen := map[Function]bool{}
	for _, s := range symbols {
		fn := Function{Name: s.Name, Number: functions[s.Name]}
		if fn.Number == 0 || elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Section == elf.SHN_UNDEF {
			continue
		}
		var ok bool
		if fn.Offset, ok = fileOffset(f, s.Value); ok {
			fn.Offset = behindMark(r, f.Machine, fn.Offset)
		}
		if ok && !seen[fn] {
			seen[fn] = true
			found = append(found, fn)
		}
	}
	return found, nil
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
	if errors.As(err, &disk) {
		return err
	}
	return fmt.Errorf("%w: %w", errNotLibrary, err)
}

var machineOf = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// modest tells whether the symbols are as large as the file says and not larger: compressed ones might be.
func modest(f *elf.File) bool {
	for _, s := range f.Sections {
		if s.Type != elf.SHT_DYNSYM && s.Type != elf.SHT_STRTAB {
			continue
		}
		if s.Flags&elf.SHF_COMPRESSED != 0 || s.Size > maxSection {
			return false
		}
	}
	return true
}

// fileOffset is where an address of code stands in the file.
func fileOffset(f *elf.File, address uint64) (uint64, bool) {
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && p.Vaddr <= address && address < p.Vaddr+p.Filesz {
			return address - p.Vaddr + p.Off, true
		}
	}
	return 0, false
}
