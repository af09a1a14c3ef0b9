package libc

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"runtime"
	"testing"
	"time"
)

// An elfFile is a small C library, or what claims to be one.
type elfFile struct {
	names    []byte      // the table of names
	symbols  []elf.Sym64 // with places in that
	versions []byte      // SHT_GNU_VERDEF
}

// bytes lays the file out: header, one segment of code that covers all, sections, their headers.
func (f elfFile) bytes() []byte {
	const segment = 64
	b := bytes.NewBuffer(make([]byte, segment+56))
	put := func(kind elf.SectionType, link uint32, data any) elf.Section64 {
		s := elf.Section64{Type: uint32(kind), Link: link, Off: uint64(b.Len())}
		_ = binary.Write(b, binary.LittleEndian, data)
		s.Size = uint64(b.Len()) - s.Off
		return s
	}
	sections := []elf.Section64{
		{},
		put(elf.SHT_DYNSYM, 2, f.symbols),
		put(elf.SHT_STRTAB, 0, f.names),
		put(elf.SHT_STRTAB, 0, []byte{0}),
		put(elf.SHT_GNU_VERSYM, 0, []byte{0}),
		put(elf.SHT_GNU_VERDEF, 0, f.versions),
	}
	h := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(machineOf[runtime.GOARCH]), Version: 1, Ehsize: 64, Phoff: segment, Phentsize: 56, Phnum: 1,
		Shoff: uint64(b.Len()), Shentsize: 64, Shnum: uint16(len(sections)), Shstrndx: 3,
	}
	copy(h.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	_ = binary.Write(b, binary.LittleEndian, sections)
	var front bytes.Buffer
	_ = binary.Write(&front, binary.LittleEndian, h)
	_ = binary.Write(&front, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_X), Filesz: uint64(b.Len())})
	copy(b.Bytes(), front.Bytes())
	return b.Bytes()
}

// lookUps are functions of one name at different places.
func lookUps(name string, n int) elfFile {
	f := elfFile{names: []byte("\x00" + name + "\x00")}
	for i := range n {
		f.symbols = append(f.symbols, elf.Sym64{Name: 1, Info: byte(elf.STT_FUNC), Shndx: 1, Value: uint64(i)})
	}
	return f
}

// allocated tells how much memory something takes, what it gives back included.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestCostlyFiles: what a user's file makes us do is bounded by its size, and no more than the largest tables allowed.
func TestCostlyFiles(t *testing.T) {
	long := append(bytes.Repeat([]byte{'a'}, maxSection-1), 0)
	chain := lookUps("getaddrinfo", 1)
	for i := range 20 {
		// Each definition has all names that follow, in a chain.
		chain.versions = binary.LittleEndian.AppendUint16(chain.versions, 1)
		chain.versions = append(chain.versions, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0)
		chain.versions = binary.LittleEndian.AppendUint32(chain.versions, uint32((20-i)*20))
		chain.versions = binary.LittleEndian.AppendUint32(chain.versions, 20)
	}
	chain.versions = append(chain.versions, 1, 0, 0, 0, 0, 0, 0, 0)
	chain.names = append(chain.names, bytes.Repeat([]byte{'a'}, 4<<10)...)
	for name, c := range map[string]struct {
		file  elfFile
		found int // -1: it is refused
	}{
		"good":           {lookUps("getaddrinfo", 1), 1},
		"long names":     {elfFile{names: long, symbols: lookUps("", 100).symbols}, 0},
		"versions":       {chain, 1},
		"many functions": {lookUps("getaddrinfo", maxSection/elf.Sym64Size), -1},
		"many symbols":   {lookUps("getaddrinfa", maxSection/elf.Sym64Size), 0},
		"too many":       {lookUps("getaddrinfa", maxSection/elf.Sym64Size+1), -1},
	} {
		text := bytes.NewReader(c.file.bytes())
		start := time.Now()
		var found []Function
		var err error
		n := allocated(func() { found, err = findFunctions(text) })
		if err == nil && len(found) != c.found || err != nil && c.found != -1 {
			t.Errorf("%s: %d functions, %v", name, len(found), err)
		}
		if took := time.Since(start); n > 3*maxSection || took > 2*time.Second {
			t.Errorf("%s: %d bytes of memory, %v", name, n, took)
		}
	}
}
