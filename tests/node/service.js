// The operators' side, by azure-iothub. What it answers is given on as plain JSON.
'use strict';

const { Client, JobClient, Registry } = require('azure-iothub');
const { Message } = require('azure-iot-common');

const FACTORIES = { registry: Registry, jobs: JobClient };

// Beside what it answers the SDK gives the HTTP reply itself, which JSON cannot hold.
const plain = (answer) => answer?.responseBody ?? answer?.jobStatus ?? answer?.result ?? answer;

async function all(query, page) {
  const rows = [];
  let pages = 0;
  while (query.hasMoreResults) {
    const { result } = await query[page](query.continuationToken);
    rows.push(...result.map((row) => (typeof row.toJSON === 'function' ? row.toJSON() : row)));
    pages += 1;
  }
  return { rows, pages };
}

exports.calls = (emit) => {
  const objects = {};
  let connectionString;
  let client;

  return {
    service(given) {
      connectionString = given;
      for (const [name, factory] of Object.entries(FACTORIES)) objects[name] = factory.fromConnectionString(given);
    },
    registry: async (method, ...given) => plain(await objects.registry[method](...given)),
    jobs: async (method, ...given) => plain(await objects.jobs[method](...given)),
    // kind: TwinUpdate or DeviceMethod; startTime in ISO 8601, null for now.
    schedule: async (kind, jobId, condition, what, startTime) =>
      plain(await objects.jobs[`schedule${kind}`](jobId, condition, what, startTime && new Date(startTime), 300)),
    query: (text, pageSize, page = 'nextAsTwin') => all(objects.registry.createQuery(text, pageSize), page),
    queryJobs: (type, status) => all(objects.jobs.createQuery(type, status, 10), 'next'),
    // Reads the twin, then writes by the object that was read, which sends its etag.
    async updateTwin(deviceId, patch) {
      const twin = plain(await objects.registry.getTwin(deviceId));
      return plain(await twin.update(patch)).toJSON();
    },

    openService: async (transport) => {
      client = Client.fromConnectionString(connectionString, require('azure-iothub')[transport]);
      await client.open();
    },
    closeService: async () => void (await client.close()),
    // given: the device, the module where there is one, and what to call.
    invoke: async (...given) => plain(await client.invokeDeviceMethod(...given)),
    async sendToDevice(device, { body, properties = {}, ...system }) {
      const message = Object.assign(new Message(body), system);
      for (const [name, value] of Object.entries(properties)) message.properties.add(name, value);
      await client.send(device, message);
    },
    async fileNotifications() {
      const receiver = plain(await client.getFileNotificationReceiver());
      receiver.on('message', (message) => {
        emit('file', { notification: JSON.parse(message.data.toString()) });
        receiver.complete(message, (error) => emit('settled', { error: error?.message ?? null }));
      });
    },
    async feedback() {
      const receiver = plain(await client.getFeedbackReceiver());
      receiver.on('message', ({ data }) => emit('feedback', { records: JSON.parse(data.toString()) }));
    },
  };
};
