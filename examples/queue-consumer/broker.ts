/** What a customer ordered. */
export interface Order {
  readonly product: string
  readonly units: number
}

/** An order on its way. The identifier is its producer's, the same however often it is published or delivered. */
export interface Message {
  readonly id: string
  readonly order: Order
  /** Milliseconds that handling it takes. */
  readonly work: number
}

/** A message as it is handed to a consumer. */
export interface Delivery {
  readonly receipt: number
  readonly message: Message
  /** Whether this message has been delivered before. */
  readonly isRepeated: boolean
}

/**
 * A queue that delivers at least once, as SQS, RabbitMQ and most others do: whatever is not acknowledged in time is
 * delivered again, although its consumer may have done the work, or be at it still.
 */
export class Broker {
  deliveries = 0
  readonly #patience: number
  readonly #queue: Message[] = []
  readonly #underWay = new Map<number, { readonly message: Message; readonly until: number }>()
  readonly #delivered = new Set<string>()

  /** @param patience - Milliseconds to wait for the acknowledgement. */
  constructor(patience: number) {
    this.#patience = patience
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0 && this.#underWay.size === 0
  }

  publish(message: Message): void {
    this.#queue.push(message)
  }

  /** The next message, if there is one at present. */
  deliver(): Delivery | undefined {
    const now = performance.now()
    for (const [receipt, { message, until }] of this.#underWay) {
      if (until > now) continue
      this.#underWay.delete(receipt)
      this.#queue.push(message)
    }
    const message = this.#queue.shift()
    if (message === undefined) return undefined
    const receipt = ++this.deliveries
    this.#underWay.set(receipt, { message, until: now + this.#patience })
    const isRepeated = this.#delivered.has(message.id)
    this.#delivered.add(message.id)
    return { receipt, message, isRepeated }
  }

  /** Takes the message off the queue. Too late for one that is in the queue again. */
  acknowledge(receipt: number): void {
    this.#underWay.delete(receipt)
  }
}
