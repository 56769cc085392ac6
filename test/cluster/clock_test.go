package cluster_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A clock is what the time is in one process. Go reads both clocks of the kernel, that of the day and the monotonic one, by a
// function that the kernel maps into every process: it is replaced by one that turns what the kernel says, before
// the process runs its first instruction. Nothing else is changed, so that it is the real command that is tested.
type clock struct {
	pid  int
	data int64 // the address of what clockCode reads
	slot int   // which of two is in use
	set  [2]setting
}

// A setting says what a clock shows: to at the real time from, and since then as much as rate says, in rateUnit.
type setting struct{ From, To, Rate int64 }

// rateUnit is the rate of a clock that is right.
const rateUnit = 1 << 20

// shows returns what the clock shows at a real time, both in nanoseconds.
func (s setting) shows(now int64) int64 {
	return s.To + int64(float64(now-s.From)*float64(s.Rate)/rateUnit)
}

// clockCode is clock_gettime(edi, rsi) for processors of the x86-64 kind. The settings follow it: eight bytes that say how far
// the slot is that is in use, and two slots, each with 32 bytes for the clock of the day, 0, and as many for the
// monotonic one, 1.
//
//	mov eax, 228; syscall; test eax, eax; jnz end; cmp edi, 1; ja end
//	lea r8, [rip+settings]; add r8, [r8]; mov eax, edi; shl eax, 5; add r8, rax
//	imul rax, [rsi], 1000000000; add rax, [rsi+8]
//	sub rax, [r8]; imul qword ptr [r8+16]; shrd rax, rdx, 20; add rax, [r8+8]
//	xor edx, edx; mov ecx, 1000000000; div rcx; mov [rsi], rax; mov [rsi+8], rdx; xor eax, eax
//	end: ret
const clockCode = "\xb8\xe4\x00\x00\x00\x0f\x05\x85\xc0\x75\x45\x83\xff\x01\x77\x40" +
	"\x4c\x8d\x05\x69\x00\x00\x00\x4d\x03\x00\x89\xf8\xc1\xe0\x05\x49\x01\xc0" +
	"\x48\x69\x06\x00\xca\x9a\x3b\x48\x03\x46\x08" +
	"\x49\x2b\x00\x49\xf7\x68\x10\x48\x0f\xac\xd0\x14\x49\x03\x40\x08" +
	"\x31\xd2\xb9\x00\xca\x9a\x3b\x48\xf7\xf1\x48\x89\x06\x48\x89\x56\x08\x31\xc0\xc3"

const (
	settingsAt = 128 // where the settings begin, from clockCode
	slotSize   = 64
	clockSize  = settingsAt + 8 + 2*slotSize
)

// errNoClock is returned where clocks cannot be turned.
var errNoClock = errors.New("clocks of a process cannot be turned here")

// startTurned starts a command whose clocks can be turned, and whose clock of the day is wrong by offset. The
// command is the one that the first program becomes.
func startTurned(cmd *exec.Cmd, offset time.Duration) (*clock, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("%w: the machine code is for amd64", errNoClock)
	}
	runtime.LockOSThread() // who traces is a thread
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr.Ptrace = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &clock{pid: cmd.Process.Pid}
	c.set[0], c.set[1] = setting{0, int64(offset), rateUnit}, setting{0, 0, rateUnit}
	err := c.awaitCommand()
	if err == nil {
		err = c.replace()
	}
	if err == nil {
		err = unix.PtraceDetach(c.pid)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("%w: %w", errNoClock, err)
	}
	return c, nil
}

// awaitCommand waits until the process is about to run the command, and has not begun.
func (c *clock) awaitCommand() error {
	for began := false; ; {
		var status unix.WaitStatus
		if _, err := unix.Wait4(c.pid, &status, unix.WALL, nil); err != nil {
			return err
		}
		switch {
		case !status.Stopped():
			return fmt.Errorf("the process has ended: %v", status)
		case status.TrapCause() == unix.PTRACE_EVENT_EXEC:
			return nil
		case !began:
			began = true
			if err := unix.PtraceSetOptions(c.pid, unix.PTRACE_O_TRACEEXEC|unix.PTRACE_O_EXITKILL); err != nil {
				return err
			}
		}
		if err := unix.PtraceCont(c.pid, 0); err != nil {
			return err
		}
	}
}

// replace replaces the function that reads clocks.
func (c *clock) replace() error {
	begin, image, err := c.kernelPages()
	if err != nil {
		return err
	}
	at, err := clockSymbol(image)
	if err != nil {
		return err
	}
	room := (len(image) - clockSize) &^ 15
	if len(bytes.Trim(image[room:], "\x00")) > 0 {
		return errors.New("there is no room behind the functions of the kernel")
	}
	c.data = begin + int64(room) + settingsAt
	code := binary.LittleEndian.AppendUint64(append([]byte(clockCode), make([]byte, settingsAt-len(clockCode))...), 8)
	jump := binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(room-at-5))
	return errors.Join(c.write(begin+int64(room), append(code, c.encode()...)), c.write(begin+int64(at), jump))
}

// kernelPages returns where the functions of the kernel are in the process, and what is there.
func (c *clock) kernelPages() (begin int64, image []byte, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", c.pid))
	if err != nil {
		return 0, nil, err
	}
	for line := range strings.Lines(string(maps)) {
		var end int64
		if !strings.Contains(line, "[vdso]") {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x", &begin, &end); err != nil {
			return 0, nil, err
		}
		mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", c.pid))
		if err != nil {
			return 0, nil, err
		}
		defer mem.Close()
		image = make([]byte, end-begin)
		_, err = mem.ReadAt(image, begin)
		return begin, image, err
	}
	return 0, nil, errors.New("the kernel maps no functions")
}

// clockSymbol returns where the function begins.
func clockSymbol(image []byte) (int, error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, err
	}
	all, err := f.DynamicSymbols()
	if err != nil {
		return 0, err
	}
	for _, s := range all {
		if s.Name == "__vdso_clock_gettime" {
			return int(s.Value), nil
		}
	}
	return 0, errors.New("the kernel has no function for clocks")
}

// encode returns the settings as clockCode reads them.
func (c *clock) encode() (b []byte) {
	for _, s := range c.set {
		for _, x := range []int64{s.From, s.To, s.Rate, 0} {
			b = binary.LittleEndian.AppendUint64(b, uint64(x))
		}
	}
	return b
}

func (c *clock) write(at int64, b []byte) error {
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", c.pid), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	_, err = mem.WriteAt(b, at)
	return err
}

// A turning says how clocks are to be turned: the clock of the day is moved, and both run at rates from then on, of which 1 is
// right. A rate of 0 is 1.
type turning struct {
	move        time.Duration
	day, steady float64
}

// turn turns the clocks of the process, which is stopped for that moment: what it saw last is not later than what it sees next
// on the monotonic clock.
func (c *clock) turn(how turning) error {
	if err := c.halt(); err != nil {
		return err
	}
	for i, which := range []struct {
		id   int32
		rate float64
		move time.Duration
	}{{unix.CLOCK_REALTIME, how.day, how.move}, {unix.CLOCK_MONOTONIC, how.steady, 0}} {
		var now unix.Timespec
		if err := unix.ClockGettime(which.id, &now); err != nil {
			return err
		}
		if which.rate == 0 {
			which.rate = 1
		}
		c.set[i] = setting{now.Nano(), c.set[i].shows(now.Nano()) + int64(which.move), int64(which.rate * rateUnit)}
	}
	c.slot = 1 - c.slot
	err := c.write(c.data+8+int64(c.slot*slotSize), c.encode())
	if err == nil {
		err = c.write(c.data, binary.LittleEndian.AppendUint64(nil, uint64(8+c.slot*slotSize)))
	}
	return errors.Join(err, unix.Kill(c.pid, unix.SIGCONT))
}

// halt stops the process, and returns when all its threads have.
func (c *clock) halt() error {
	if err := unix.Kill(c.pid, unix.SIGSTOP); err != nil {
		return err
	}
	for {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.pid))
		if err != nil {
			return err
		}
		run, err := running(threads)
		if err != nil || !run {
			return err
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// running reports whether a thread runs, given the files that say so.
func running(threads []string) (bool, error) {
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		switch after := stat[bytes.LastIndexByte(stat, ')')+1:]; {
		case bytes.HasPrefix(after, []byte(" Z")):
			return false, errors.New("the process has ended")
		case !bytes.HasPrefix(after, []byte(" T")):
			return true, nil
		}
	}
	return len(threads) == 0, nil
}

// wrong returns by how much the clock of the day is wrong.
func (c *clock) wrong() time.Duration {
	now := time.Now().UnixNano()
	return time.Duration(c.set[0].shows(now) - now)
}
