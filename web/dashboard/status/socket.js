import { socketUrl } from "../config.js";

const TIMEOUT_MS = 3000;

/** Whether the WebSocket server answers a ping on a connection of its own. */
export function socketAnswers() {
  return new Promise((resolve) => {
    const socket = new WebSocket(socketUrl());
    const end = (answers) => {
      clearTimeout(timer);
      socket.onclose = null;
      socket.close();
      resolve(answers);
    };
    const timer = setTimeout(() => end(false), TIMEOUT_MS);
    socket.onopen = () => socket.send('{"method":"ping"}');
    socket.onmessage = () => end(true);
    socket.onclose = () => end(false);
  });
}
