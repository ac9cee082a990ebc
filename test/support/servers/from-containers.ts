import { MariaDbContainer } from '@testcontainers/mariadb'
import { MySqlContainer } from '@testcontainers/mysql'
import { getContainerRuntimeClient } from 'testcontainers'
import type { ServerKind } from './kinds.js'
import { waitForVersion } from './probe.js'
import { type Durability, type Server, settings } from './server.js'

/** Whether a container engine answers; without one this fails within milliseconds. */
export async function hasContainerEngine(): Promise<boolean> {
  try {
    await getContainerRuntimeClient()
    return true
  } catch {
    return false
  }
}

/** Starts a container. The library's reaper removes it even if this process is killed. */
export async function serverFromContainer(kind: ServerKind, durability: Durability): Promise<Server> {
  const password = 'goscope'
  const container =
    kind.family === 'mysql'
      ? await new MySqlContainer(kind.image).withRootPassword(password).withCommand(settings(durability)).start()
      : await new MariaDbContainer(kind.image).withRootPassword(password).withCommand(settings(durability)).start()
  const url = () => `mysql://root:${password}@${container.getHost()}:${container.getPort()}`
  return {
    name: kind.name,
    family: kind.family,
    version: await waitForVersion(url(), 60_000),
    get url() {
      return url()
    },
    stop: async () => {
      await container.stop()
    },
    restart: async () => {
      await container.restart({ timeout: 10_000 })
      await waitForVersion(url(), 60_000)
    },
  }
}
