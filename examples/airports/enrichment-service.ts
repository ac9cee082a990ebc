import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Location } from './geography.js'

/** How the service behaves at the moment. */
export type Mood = 'well' | 'failing' | 'slow'

/** A local HTTP service that tells where airports lie, as unreliable as services on the network are. */
export interface EnrichmentService {
  readonly url: string
  readonly mood: Mood
  readonly requests: number
  close(): Promise<void>
}

// The service is well for long enough that the import gets on, and bad for long enough that the breaker opens.
const round: readonly { mood: Mood; until: number }[] = [
  { mood: 'well', until: 4_000 },
  { mood: 'failing', until: 5_000 },
  { mood: 'well', until: 9_000 },
  { mood: 'slow', until: 10_000 },
]
const ROUND = 10_000

/** Starts the service: `GET /airports/<IATA>` answers with a {@link Location} when it is well. */
export async function startEnrichmentService(locations: ReadonlyMap<string, Location>): Promise<EnrichmentService> {
  const begin = performance.now()
  let requests = 0
  const server = createServer(async (request, response) => {
    requests++
    const mood = moodAt(performance.now() - begin)
    if (mood === 'failing') return response.writeHead(503).end()
    await sleep(mood === 'slow' ? 1_000 : 5)
    const location = locations.get(request.url?.split('/').at(-1) ?? '')
    if (location === undefined) return response.writeHead(404).end()
    return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(location))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get mood() {
      return moodAt(performance.now() - begin)
    },
    get requests() {
      return requests
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function moodAt(elapsed: number): Mood {
  return round.find(({ until }) => elapsed % ROUND < until)?.mood ?? 'well'
}
