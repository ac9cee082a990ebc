/** Runs each piece of work once at a time: callers that come while it runs share its outcome. */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Promise<T>>()

  /** The outcome of the work under this key, begun now or earlier. */
  run(key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#flights.get(key)
    if (running !== undefined) return running
    const flight = work().finally(() => this.#flights.delete(key))
    this.#flights.set(key, flight)
    return flight
  }
}
