import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the service has been asked. */
export interface Requests {
  answered: number
  refused: number
  /** The most that were under way at once since the last look. */
  atOnce: number
}

/** A local HTTP service that can be switched off. */
export interface Service {
  readonly url: string
  isWell: boolean
  /** Tells what it has been asked since the last look. */
  look(): Requests
  close(): Promise<void>
}

const WORK = 20

/** Starts the service. */
export async function startService(): Promise<Service> {
  let requests: Requests = { answered: 0, refused: 0, atOnce: 0 }
  let underWay = 0
  const server = createServer((_, response) => {
    requests.atOnce = Math.max(requests.atOnce, ++underWay)
    setTimeout(() => {
      underWay--
      if (service.isWell) requests.answered++
      else requests.refused++
      response.writeHead(service.isWell ? 200 : 503).end()
    }, WORK)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const service: Service = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    isWell: true,
    look() {
      const seen = requests
      requests = { answered: 0, refused: 0, atOnce: underWay }
      return seen
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return service
}
