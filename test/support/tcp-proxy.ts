import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/**
 * What happens to a request:
 * - `cut`: it never reaches the server, and the connection breaks.
 * - `lose answer`: the server carries it out, and the connection breaks before the answer arrives.
 * - `stall`: the server carries it out, and the answer waits for {@link TcpProxy.deliver}.
 */
export type Fault = 'cut' | 'lose answer' | 'stall'

/** Stands between a client and a server, and disturbs single requests. */
export class TcpProxy {
  /** How many connections were opened so far. */
  connections = 0
  readonly #server: Server
  readonly #port: number
  readonly #target: URL
  readonly #sockets = new Set<Socket>()
  readonly #faults: { readonly content: string; readonly fault: Fault; passing: number }[] = []
  readonly #withheld: (() => void)[] = []
  #isHanging = false

  private constructor(server: Server, target: URL) {
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
    this.#target = target
    server.on('connection', (client) => this.#join(client))
  }

  /** A proxy in front of the server of this URL. */
  static async start(url: string): Promise<TcpProxy> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new TcpProxy(server, new URL(url))
  }

  /** The URL of the target, by way of this proxy. */
  get url(): string {
    const url = new URL(this.#target)
    url.hostname = '127.0.0.1'
    url.port = String(this.#port)
    return url.href
  }

  /**
   * Disturbs the next request that contains this text; those that follow it pass.
   *
   * @param passing - How many such requests pass before.
   */
  disturb(content: string, fault: Fault, passing = 0): void {
    this.#faults.push({ content, fault, passing })
  }

  /** Whether every announced disturbance has taken place. */
  get isDone(): boolean {
    return this.#faults.length === 0
  }

  /** Delivers the answers that were withheld. */
  deliver(): void {
    for (const deliver of this.#withheld.splice(0)) deliver()
  }

  /** Takes connections, and lets nothing through, until {@link resume}. */
  hang(): void {
    this.#isHanging = true
    for (const socket of this.#sockets) socket.pause()
  }

  /** Lets through what was held up, and all that follows. */
  resume(): void {
    this.#isHanging = false
    for (const socket of this.#sockets) socket.resume()
  }

  /** Breaks all connections and takes no more, until {@link listen}. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  /** Takes connections again, at the same port. */
  async listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  #join(client: Socket): void {
    this.connections++
    const server = connect(Number(this.#target.port), this.#target.hostname)
    const both = [client, server]
    const end = () => {
      for (const socket of both) {
        socket.destroy()
        this.#sockets.delete(socket)
      }
    }
    for (const socket of both) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', end)
      socket.on('close', end)
    }
    let present: Fault | undefined
    client.on('data', (request) => {
      const index = this.#faults.findIndex(({ content }) => request.includes(content))
      const found = this.#faults[index]
      if (found !== undefined && found.passing > 0) found.passing--
      else if (found !== undefined) present = this.#faults.splice(index, 1)[0]?.fault
      if (present === 'cut') end()
      else server.write(request)
    })
    server.on('data', (answer) => {
      if (present === 'lose answer') end()
      else if (present === 'stall') this.#withheld.push(() => client.write(answer))
      else client.write(answer)
    })
    if (this.#isHanging) for (const socket of both) socket.pause()
  }
}
