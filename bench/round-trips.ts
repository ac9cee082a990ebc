import { Connection } from 'mysql2'

/** A packet as mysql2 writes it: four bytes of header, then the command. */
interface Packet {
  readonly buffer: Buffer
}

interface PacketWriter {
  readonly sequenceId: number
  writePacket(packet: Packet): void
}

// Commands that have no answer: COM_QUIT and COM_STMT_CLOSE.
const unanswered = new Set([0x01, 0x19])

let sent = 0

/** How many commands mysql2 has sent in this process so far, on whichever connection and by whomever. */
export const commandsSent = (): number => sent

/** Begins to count. All contenders share one copy of mysql2. */
export function countCommands(): void {
  const writer = (Connection as unknown as { prototype: PacketWriter }).prototype
  const { writePacket } = writer
  writer.writePacket = function (this: PacketWriter, packet) {
    if (this.sequenceId === 0 && !unanswered.has(packet.buffer[4] ?? 0)) sent++
    writePacket.call(this, packet)
  }
}
